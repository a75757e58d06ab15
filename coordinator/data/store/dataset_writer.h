// Writes a dataset's folder: texts are written to disk immediately, tables stay in memory until Finish.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/digest.h"
#include "coordinator/data/dataset.h"
#include "coordinator/data/store/digest_index.h"
#include "coordinator/data/store/judgment_table.h"
#include "coordinator/data/store/normalize.h"
#include "coordinator/data/store/table_file.h"
#include "muster/v1/data.pb.h"

namespace muster {

// The description of a written dataset.
struct DatasetFacts {
  muster::v1::Dataset dataset;  // without name and time
  std::map<uint32_t, uint64_t> positives_per_query;
  double duplicate_share = 0;
  uint64_t hard_negatives = 0;   // as given
  uint64_t own_positives = 0;  // of these, left out because they are a positive of the same query and split
  uint64_t other_positives = 0;  // of these, a positive of another query, or of another split
  uint64_t conflicting = 0;      // judgments of one query, document and source with another grade: the highest counts
  uint64_t empty_texts = 0;  // documents and queries without a character that is not white space
};

// Not thread-safe. The folder belongs to the caller: it is scratch until the caller renames it to the dataset's digest.
class DatasetWriter {
 public:
  static absl::StatusOr<std::unique_ptr<DatasetWriter>> Create(const std::filesystem::path& folder);

  // The passage with this title and body, identified by DigestOfPassage. For equal passages the first text is stored.
  absl::StatusOr<uint32_t> AddPassage(std::string_view title, std::string_view body);
  std::optional<uint32_t> FindPassage(std::string_view title, std::string_view body) const;
  absl::StatusOr<uint32_t> AddDocument(std::string_view id, uint32_t passage);
  absl::StatusOr<uint32_t> AddQuery(std::string_view id, std::string_view text);
  uint32_t passages() const { return passage_digests_.size(); }
  uint32_t documents() const { return static_cast<uint32_t>(document_passages_.size()); }
  uint32_t queries() const { return static_cast<uint32_t>(query_digests_.size()); }
  uint32_t passage_of(uint32_t document) const { return document_passages_[document]; }
  const Digest128& query_text_digest(uint32_t query) const { return query_text_digests_[query]; }  // of the normal form

  absl::StatusOr<uint16_t> AddSource(std::string_view name);  // its index, the same for the same name
  void AddJudgment(const std::string& split, uint32_t query, const Judgment& judgment, float score = kNoScore);
  // All judgments so far, by split, in the order in which they were added. For rules that need the last record to decide.
  std::map<std::string, std::vector<JudgmentEdge>>& edges() { return edges_; }

  // Writes tables and manifest and flushes everything. INVALID_ARGUMENT if no query has a positive in any split, unless
  // the records will only be added to another dataset.
  absl::StatusOr<DatasetFacts> Finish(bool needs_positive = true);

 private:
  DatasetWriter() = default;
  absl::Status CloseText();
  absl::Status WriteTables();
  absl::Status WriteJudgments(DatasetFacts& facts);
  void AddContent(const std::string& split, const JudgmentTable& table);
  absl::StatusOr<std::string> WriteManifest();

  std::filesystem::path folder_;
  std::unique_ptr<TableFile> passage_text_, document_ids_, query_text_;
  std::vector<uint64_t> passage_offsets_, document_offsets_, query_offsets_;
  std::vector<uint32_t> document_passages_;
  std::vector<uint64_t> query_digests_;
  std::vector<bool> empty_passage_;
  uint64_t empty_queries_ = 0;
  DigestIndex passage_digests_;
  std::vector<Digest128> query_text_digests_;
  Sha256 content_;
  bool has_ignored_ = false;
  std::vector<std::string> sources_;
  std::map<std::string, std::vector<JudgmentEdge>> edges_;  // by split
  std::map<std::string, TableFacts> files_;
};

}  // namespace muster
