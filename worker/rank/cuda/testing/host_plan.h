// A plan whose tensors for kernels are there, as on a GPU.
#pragma once

#include "worker/rank/model/sequence_plan.h"

namespace muster {

inline SequencePlanPtr HostPlan(const std::vector<int64_t>& lengths, const std::vector<int64_t>& unpooled = {}) {
  PackedBatch batch;
  batch.lengths = lengths;
  int64_t rows = 0;
  for (size_t s = 0; s < lengths.size(); ++s) {
    batch.slots.push_back(static_cast<uint32_t>(1000 + 7 * s));
    rows += lengths[s];
  }
  batch.tokens = IndicesOn(at::kCPU, std::vector<int64_t>(rows));
  SequencePlanPtr plan =
      MakeSequencePlan(batch, {.hidden = 0.1, .attention = 0.1, .seed = 0xfeedfacecafebeef, .step = 12345});
  std::vector<int64_t> first_rows = plan->first_rows, keys(plan->keys.begin(), plan->keys.end());
  first_rows.push_back(rows);
  plan->device_first_rows = IndicesOn(at::kCPU, first_rows);
  plan->device_keys = IndicesOn(at::kCPU, keys);
  return plan;
}

}  // namespace muster
