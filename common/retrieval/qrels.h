// Judgments of a test set: which documents are relevant to which query, and how much.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"

namespace muster {

// Movable, not copyable: ids are views into the file's text, which it owns. Thread-safe once read.
class Qrels {
 public:
  struct Query {
    std::string_view id;
    absl::flat_hash_map<std::string_view, float> grades;  // by document; any number. Above 0: relevant
  };

  // Reads TREC's format (query, iteration, document, grade between blanks) or BEIR's (query, document, grade between
  // tabs, with or without a header), plain or gzip. The first line decides. INVALID_ARGUMENT with "FILE:LINE: …" for a
  // line that is neither, a grade that is not a number, and a document that a query judges twice with different grades;
  // repeated lines count once.
  static absl::StatusOr<Qrels> Read(const std::string& file);

  const std::vector<Query>& queries() const { return queries_; }  // in the file's order
  const Query* Find(std::string_view id) const;                   // null: not judged
  const std::string& file() const { return file_; }

 private:
  Qrels() = default;
  absl::Status Parse();

  std::string file_;
  std::unique_ptr<std::string> text_;
  std::vector<Query> queries_;
  absl::flat_hash_map<std::string_view, size_t> places_;
};

}  // namespace muster
