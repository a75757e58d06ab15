// Judgments without a corpus, as `muster data add` takes them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/import_files.h"

namespace muster {

// Names each source that holds the lines of a BEIR qrels file (query-id, corpus-id, score, separated by tabs) or of TREC's
// judgments (query 0 document grade), whatever it is called, such that the server takes it for one of the split:
// FILE/qrels/SPLIT.tsv.
//
// The split is what `--split` says, or a word in the file's name (common/split_name.h); otherwise the dataset's only one.
// `splits_of_dataset` is asked then. INVALID_ARGUMENT where nothing decides.
absl::Status NameQrels(const std::function<absl::StatusOr<std::vector<std::string>>()>& splits_of_dataset,
                       ImportPlan& plan);

}  // namespace muster
