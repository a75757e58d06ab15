// Which split of a dataset a file belongs to, from its name: train.jsonl, mydata-test.jsonl.gz, dev/part-0.jsonl.
//
// The data server decides, and the command line checks the same rule before it sends anything.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"

namespace muster {

// The name of a file from standard input. It says nothing about the content.
inline constexpr std::string_view kStandardInput = "standard-input";

// The split that a single word names: train, test, dev, val, validation, …, in any letter case. Empty: none.
std::string SplitOfWord(std::string_view word);

// The split that a relative path names, by a separate word in its file or folder names ("my-test.jsonl",
// "test2023.jsonl" and "test/a.jsonl", but not "latest.jsonl"). Empty: none.
// INVALID_ARGUMENT if it names two.
absl::StatusOr<std::string> SplitNamedBy(std::string_view path);

// The content of a file of a schema with ids, by a word in its name: corpus.jsonl, queries.train.tsv, documents/part-0.parquet.
enum class TableName { kNone, kDocuments, kQueries };
// The file's own name counts first, then its folders. kNone: it has neither word, or both.
TableName TableNamedBy(std::string_view path);

// Assigns a split to each file of one import whose records name none. It refuses everything ambiguous, so that no guess
// can put test data into training. Not thread-safe.
class SplitAssignment {
 public:
  struct Assigned {
    std::string split;
    bool by_name = false;  // the file's name decided
  };

  // `given`: the split of all files without one; empty: none was given.
  explicit SplitAssignment(std::string given) : given_(std::move(given)) {}

  // `own`: the split given for this file, or empty. INVALID_ARGUMENT names the files and what to do.
  absl::StatusOr<Assigned> Add(const std::string& path, const std::string& own);

 private:
  struct Named {
    std::string path, split;
  };
  const std::string given_;
  std::optional<Named> named_;          // the first file whose name decided
  std::optional<std::string> unnamed_;  // the first file that is in train because nothing names its split
};

}  // namespace muster
