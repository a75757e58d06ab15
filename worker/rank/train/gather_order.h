// Which sequence of the global batch each gathered row belongs to. A rank's share names only the sequences that this rank
// encodes; the ranks tell each other theirs before each step.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/rank/collective/group.h"
#include "worker/rank/train/batch.h"

namespace muster {

// The reason that an error carries if the ranks hold different plans or parameters.
inline constexpr char kRanksDisagree[] = "RANKS_DISAGREE";

struct GatherOrder {
  std::vector<int64_t> rank_counts;  // sequences that each rank encodes
  std::vector<int64_t> slots;        // of each gathered row: rank 0's in the order of its micro-batches, then rank 1's, …
};

// Compares the ranks' plans and collects their slots, in one exchange. All ranks call it together and get equal results.
// FAILED_PRECONDITION with reason RANKS_DISAGREE: the ranks hold different steps or plans, or their sequences together are
// not those of the batch, each once. `slots` is a permutation of 0 .. query_count + passage_count - 1.
absl::StatusOr<GatherOrder> ExchangeGatherOrder(Group& group, const StepBatch& batch);

}  // namespace muster
