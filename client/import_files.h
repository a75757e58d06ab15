// Which files of a folder an import sends, and in which order.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace muster {

struct ImportSource {
  std::filesystem::path file;
  std::string name;  // as the server and its messages call it
  uint64_t size = 0;
};

struct ImportPlan {
  std::vector<ImportSource> sources;
  std::vector<std::string> left_out;  // names of files below the folder that no schema knows
  uint64_t total_bytes = 0;
};

// A BEIR folder gives corpus.jsonl, queries.jsonl, then qrels/*.tsv; any other folder its *.jsonl. Each may be
// compressed (.gz, .zst). A file is taken as it is. INVALID_ARGUMENT where there is nothing to send.
absl::StatusOr<ImportPlan> PlanImport(const std::vector<std::string>& paths);

}  // namespace muster
