// Mines hard negatives with an encoder: each rank searches its own documents exactly for all queries, and rank 0 chooses.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "muster/internal/v1/data_plane.pb.h"
#include "worker/rank/collective/group.h"
#include "worker/rank/evaluate/evaluator.h"
#include "worker/rank/evaluate/mining_rules.h"
#include "worker/rank/model/encoder.h"

namespace muster {

struct Mined {
  muster::internal::v1::MinedNegatives negatives;
  uint64_t queries = 0;        // how many queries have a positive
  uint64_t short_queries = 0;  // how many of these got fewer than per_query negatives
};

// All ranks call it together; only rank 0 gets negatives and counts. The result is a function of the embeddings and the
// rules: the number of ranks changes it only where rounding decides between two scores.
//
// FAILED_PRECONDITION without `source.header.mining`. INVALID_ARGUMENT, the same on all ranks: no query has a positive, these
// rules leave nothing to mine, or in the cases in which Evaluate (evaluator.h) returns it. Ignores `options.metrics` and
// `options.ignore_identical_ids`.
absl::StatusOr<Mined> Mine(const Encoder& encoder, Group& group, EvaluationSource source, const MiningRules& rules,
                           const EvaluatorOptions& options);

}  // namespace muster
