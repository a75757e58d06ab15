#include "worker/rank/model/sequence_plan.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "common/random.h"

namespace muster {

SequencePlanPtr MakeSequencePlan(const PackedBatch& batch, const Dropout& dropout) {
  auto plan = c10::make_intrusive<SequencePlan>();
  plan->lengths = batch.lengths;
  plan->attention_keys = dropout.attention_keys;
  const uint64_t key = MixKey(dropout.seed, dropout.step);
  for (int64_t s = 0; s < batch.size(); ++s) {
    const int64_t length = batch.lengths[s];
    TORCH_CHECK(length > 0, "sequence ", s, " of a packed batch is empty");
    plan->first_rows.push_back(plan->rows);
    if (!batch.slots.empty()) plan->keys.push_back(MixKey(key, batch.slots[s]));
    if (plan->runs.empty() || plan->runs.back().length != length) {
      plan->runs.push_back({.first_row = plan->rows, .first_sequence = s, .count = 0, .length = length});
    }
    ++plan->runs.back().count;
    plan->rows += length;
    plan->longest = std::max(plan->longest, length);
  }
  plan->unpooled = batch.unpooled;
  TORCH_CHECK(plan->unpooled.empty() || plan->unpooled.size() == plan->lengths.size(), "unpooled tokens of ",
              plan->unpooled.size(), " sequences, the batch has ", plan->lengths.size());
  TORCH_CHECK(plan->rows == batch.tokens.numel(), "a packed batch has ", batch.tokens.numel(),
              " tokens, its lengths add up to ", plan->rows);
  TORCH_CHECK((dropout.hidden == 0 && dropout.attention == 0) || plan->keys.size() == plan->lengths.size(),
              "dropout needs a slot for each sequence");
  std::vector<int64_t> positions(plan->rows);
  for (int64_t s = 0; s < batch.size(); ++s) {
    const auto first = positions.begin() + plan->first_rows[s];
    std::iota(first, first + plan->lengths[s], int64_t{0});
  }
  const at::Device device = batch.tokens.device();
  plan->positions = IndicesOn(device, positions);
  if (!device.is_cpu()) {
    std::vector<int64_t> first_rows = plan->first_rows, keys(plan->keys.size());
    first_rows.push_back(plan->rows);
    std::transform(plan->keys.begin(), plan->keys.end(), keys.begin(),
                   [](uint64_t key) { return std::bit_cast<int64_t>(key); });
    plan->device_first_rows = IndicesOn(device, first_rows);
    plan->device_first_rows_int32 = plan->device_first_rows.to(at::kInt);
    plan->device_keys = IndicesOn(device, keys);
    if (!plan->unpooled.empty()) plan->device_unpooled = IndicesOn(device, plan->unpooled);
  }
  return plan;
}

}  // namespace muster
