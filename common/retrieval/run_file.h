// A run: the documents that a system found for each query, with scores, in TREC's format.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"

namespace muster {

// How documents of a query are ordered.
enum class RankingRule {
  kMuster,    // by score, then by the rank in the file, then by line: what the system that wrote the run meant
  // By score, then by document id, the largest first; ranks are ignored. Scores are compared as float32, as in
  // pytrec_eval and in trec_eval before version 10.
  kTrecEval,
};

// How to treat a document that occurs twice for a query.
enum class Duplicates {
  kRefuse,
  kBest,  // its best score counts, as for passages of documents
};

// Movable, not copyable: ids are views into the file's text, which it owns. Thread-safe once read.
class RunFile {
 public:
  struct Entry {
    std::string_view document;
    double score = 0;
    int32_t rank = 0;
    uint32_t line = 0;
  };
  struct Query {
    std::string_view id;
    std::vector<Entry> entries;  // in the file's order
  };

  // Reads lines "query Q0 document rank score tag", plain or gzip; the tag may be missing. INVALID_ARGUMENT with
  // "FILE:LINE: …" for other lines, ranks and scores that are not numbers, and documents that occur twice for a query.
  static absl::StatusOr<RunFile> Read(const std::string& file, Duplicates duplicates = Duplicates::kRefuse);

  const std::vector<Query>& queries() const { return queries_; }  // in the file's order
  const Query* Find(std::string_view id) const;                   // null: the run does not have it
  const std::string& file() const { return file_; }

 private:
  RunFile() = default;
  absl::Status Parse();
  absl::Status Deduplicate(Duplicates duplicates);

  std::string file_;
  std::unique_ptr<std::string> text_;
  std::vector<Query> queries_;
  absl::flat_hash_map<std::string_view, size_t> places_;
};

// The entries, best first.
std::vector<RunFile::Entry> Ranked(const RunFile::Query& query, RankingRule rule);

// Whether the file's ranks contradict its scores: a document with a lower score has a smaller rank.
bool RanksContradictScores(const RunFile::Query& query);

}  // namespace muster
