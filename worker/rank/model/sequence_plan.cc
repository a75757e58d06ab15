#include "worker/rank/model/sequence_plan.h"

#include "common/random.h"

namespace muster {

SequencePlanPtr MakeSequencePlan(const PackedBatch& batch, const Dropout& dropout) {
  auto plan = c10::make_intrusive<SequencePlan>();
  plan->lengths = batch.lengths;
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
  }
  TORCH_CHECK(plan->rows == batch.tokens.numel(), "a packed batch has ", batch.tokens.numel(),
              " tokens, its lengths add up to ", plan->rows);
  TORCH_CHECK((dropout.hidden == 0 && dropout.attention == 0) || plan->keys.size() == plan->lengths.size(),
              "dropout needs a slot for each sequence");
  return plan;
}

}  // namespace muster
