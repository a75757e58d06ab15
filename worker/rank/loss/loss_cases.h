// Reference cases of the objectives, from a file: what `muster-loss-cases` and the tests compare against.
//
// A case: `name`, `objective`, `temperature`, `queries` [rows][dim], `passages` [columns][dim], `positives` and `ignored`
// (columns per query), optional `query_weights`, `grades` (one per positive), `false_negative_margin` and `distill`, and
// `expect`: `loss`, `valid_rows`, `d_queries`, `d_passages`.
// `distill`: `kind`, `weight`, `temperature`, `only`, `lists` (columns per query) and `scores` (one per column of a list).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace muster {

struct LossCaseOptions {
  int64_t world_size = 1;  // ranks in this process, over which rows and columns are split
  int64_t tile_rows = 512;
  int64_t tile_columns = 2048;
  int64_t kept_bytes = 32 << 20;
  bool double_precision = false;
};

// Differences of loss, d_queries and d_passages: max|x - y| / max|y|; infinite where y is all zero and x is not.
struct LossCaseOutcome {
  std::string name;
  double difference = 0;  // the largest of the three
  double limit = 0;       // that it may reach in float32
  bool valid_rows_agree = false;
  bool passed = false;
};

// Every case of the file. INVALID_ARGUMENT names the first case that does not have the form above.
absl::StatusOr<std::vector<LossCaseOutcome>> RunLossCases(const std::filesystem::path& file,
                                                          const LossCaseOptions& options);

}  // namespace muster
