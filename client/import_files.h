// Decides which files an import sends, in which order, and with which splits.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace muster {

// The import's arguments from the command line.
struct ImportWishes {
  std::vector<std::string> paths;   // files and folders
  std::vector<std::string> splits;  // NAME for all files, at most once; or NAME=PATH
  std::string schema;               // empty: to be recognized
};

struct ImportSource {
  std::filesystem::path file;
  std::string name;  // the name that the server and its messages use
  uint64_t size = 0;
  std::string split;  // given for this file; empty: none
  std::string blob;   // digest, if the server has the file as a blob; empty: the file is streamed
};

struct ImportPlan {
  std::vector<ImportSource> sources;
  std::string split;                  // given for all files; empty: none was
  std::vector<std::string> left_out;  // names of files below the folders that no schema knows
  uint64_t total_bytes = 0;  // 0: not known, because standard input is among the sources
};

// A BEIR folder gives corpus.jsonl, queries.jsonl, then qrels/*.tsv; any other folder its *.jsonl, *.json, *.csv, *.tsv and
// *.parquet. Each may be compressed (.gz, .zst). A named file is always sent; "-" is standard input, and a pattern (*, ?, [)
// that is not a file's name means the files that it matches. INVALID_ARGUMENT if there is nothing to send, or the split of a
// file is ambiguous (common/split_name.h).
absl::StatusOr<ImportPlan> PlanImport(const ImportWishes& wishes);

}  // namespace muster
