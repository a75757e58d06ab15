// The values that ranks exchange during a step, as plain bytes: all ranks run the same build.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/sample_ledger.h"
#include "common/status.h"
#include "worker/rank/collective/group.h"
#include "worker/rank/loss/positive_weights.h"
#include "worker/rank/train/step_report.h"

namespace muster {

// Figures of a rank's rows of the loss.
struct Tally {
  double loss = 0, positive_sum = 0, negative_sum = 0, entropy_sum = 0;
  int64_t valid_rows = 0, positive_pairs = 0, negative_pairs = 0, ignored_pairs = 0, tokens = 0;
  int64_t faulty = 0;       // an embedding or a score is not finite
  int64_t faulty_row = -1;  // of the global batch: the query whose scores may not be finite
  int64_t stop = 0;
  PositiveWeights weights;
  QuerySum queries;         // of this rank's rows
  double work_seconds = 0;  // this rank's, of the previous step; 0: there was none
};
static_assert(sizeof(Tally) <= Group::kShortBytes, "one message");

// Adds up in rank order, so that all ranks hold equal bits.
void MergeTallies(const std::vector<Tally>& tallies, StepReport& report);

// Each rank's value, in rank order.
template <typename T>
absl::StatusOr<std::vector<T>> GatherValues(Group& group, const T& own) {
  ASSIGN_OR_RETURN(const auto all, group.AllGatherBytes(std::string(reinterpret_cast<const char*>(&own), sizeof(T))));
  std::vector<T> values(all.size());
  for (size_t r = 0; r < all.size(); ++r) {
    if (all[r].size() != sizeof(T)) return absl::FailedPreconditionError("ranks of different builds are in one group");
    std::memcpy(&values[r], all[r].data(), sizeof(T));
  }
  return values;
}

}  // namespace muster
