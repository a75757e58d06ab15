// Plans and numbers for tests of operations with their kernels on the host.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <vector>

#include "common/random.h"
#include "worker/rank/model/sequence_plan.h"

namespace muster {

// Random numbers in [-scale, scale).
inline at::Tensor RandomTensor(at::IntArrayRef sizes, at::ScalarType type, uint64_t seed, double scale = 1) {
  CounterRandom random(seed);
  at::Tensor numbers = at::empty(sizes, at::kDouble);
  double* out = numbers.mutable_data_ptr<double>();
  for (int64_t i = 0; i < numbers.numel(); ++i) out[i] = scale * (2 * random.Uniform() - 1);
  return numbers.to(type);
}

// A plan with the tensors for kernels, as on a GPU.
inline SequencePlanPtr HostPlan(const std::vector<int64_t>& lengths, const std::vector<int64_t>& unpooled = {}) {
  PackedBatch batch;
  batch.lengths = lengths;
  int64_t rows = 0;
  for (size_t s = 0; s < lengths.size(); ++s) {
    batch.slots.push_back(static_cast<uint32_t>(1000 + 7 * s));
    rows += lengths[s];
  }
  if (!unpooled.empty()) batch.unpooled = unpooled;
  batch.tokens = IndicesOn(at::kCPU, std::vector<int64_t>(rows));
  SequencePlanPtr plan =
      MakeSequencePlan(batch, {.hidden = 0.1, .attention = 0.1, .seed = 0xfeedfacecafebeef, .step = 12345});
  std::vector<int64_t> first_rows = plan->first_rows, keys(plan->keys.begin(), plan->keys.end());
  first_rows.push_back(rows);
  plan->device_first_rows = IndicesOn(at::kCPU, first_rows);
  plan->device_keys = IndicesOn(at::kCPU, keys);
  if (!unpooled.empty()) plan->device_unpooled = IndicesOn(at::kCPU, unpooled);
  return plan;
}

}  // namespace muster
