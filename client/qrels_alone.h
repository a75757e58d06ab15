// Judgments without a corpus, as input of `muster data add`.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/import_files.h"

namespace muster {

// Renames each source with the lines of a BEIR qrels file (query-id, corpus-id, score, separated by tabs) or of
// TREC's judgments (query 0 document grade) to FILE/qrels/SPLIT.tsv, whatever its name, so that the server recognizes
// it.
//
// The split is the one of `--split`, or a word in the file's name (common/split_name.h); otherwise the dataset's only
// split, for which `splits_of_dataset` is called. INVALID_ARGUMENT if nothing decides.
absl::Status NameQrels(const std::function<absl::StatusOr<std::vector<std::string>>()>& splits_of_dataset,
                       ImportPlan& plan);

}  // namespace muster
