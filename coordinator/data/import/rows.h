// Turns canonical rows into a dataset: decides which rows are the same query or passage, and which judgments are left
// out.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/data/import/canonical.h"
#include "coordinator/data/import/place.h"
#include "coordinator/data/import/references.h"
#include "coordinator/data/store/dataset_writer.h"
#include "coordinator/data/store/digest_index.h"
#include "muster/v1/data.pb.h"

namespace muster {

// Not thread-safe. For each file with judgments BeginFile, then its records; at the end Finish.
//
// - A passage is its text (DigestOfPassage). A document is an id for a passage; a passage without an id is named p1,
// p2, ….
// - Rows with the same query id are one query; rows without an id are one query if their texts are equal.
// - Judgments by id wait until Finish, because files come in any order; those that name something missing are left out.
// - A row with only negatives waits, too: it counts if its query has a positive in another row.
class Rows final : public RowSink {
 public:
  // `source`: for judgments that name none. The writer outlives this.
  // `base`: the dataset that the rows are added to; null: none. It outlives this, too.
  Rows(DatasetWriter& writer, std::string source, std::optional<double> max_missing_share, const BaseRecords* base)
      : writer_(writer), references_(max_missing_share, base != nullptr), source_(std::move(source)), base_(base) {}

  // The records that follow are judgments of this file. `shown`: its path for messages. `by_name`: the file's name decided
  // the split.
  void BeginFile(const std::string& path, const std::string& shown, const std::string& split, bool by_name);
  // The place of the next record.
  void SetPlace(const Place& place) { place_ = place; }

  absl::Status Document(const std::string& id, std::string_view title, std::string_view text) override;
  absl::Status Query(const std::string& id, std::string_view text) override;
  absl::Status Row(const CanonicalRow& row) override;
  void Leave(LeftOut field) override { ++left_out_[field]; }

  uint32_t documents() const { return document_ids_.size(); }
  uint32_t queries() const { return query_ids_.size(); }
  bool has_judgments_by_id() const { return references_.size() > 0; }

  // Processes the waiting judgments and rows. Adds notes and the counts of what was left out to the report. INVALID_ARGUMENT if
  // too many judgments name something missing.
  absl::Status Finish(std::vector<std::string>& notes, muster::v1::ImportReport& report);

 private:
  // The files of one split whose names decided it.
  struct NamedFiles {
    std::vector<std::string> paths;  // the first few
    size_t files = 0;
    uint64_t queries = 0;  // summed over files: a query in two files counts twice
  };
  struct WaitingRow {
    CanonicalRow row;
    std::string split, place;
  };

  absl::Status Add(const CanonicalRow& row);
  absl::StatusOr<uint32_t> QueryOf(const CanonicalRow& row);
  std::optional<uint32_t> FindQuery(const CanonicalRow& row) const;
  absl::StatusOr<uint32_t> DocumentOf(const CanonicalPassage& passage);
  void AddJudgment(const std::string& split, uint32_t query, uint32_t document, const RecordedJudgment& recorded,
                   uint16_t source);
  absl::Status AddWaiting(muster::v1::ImportReport& report, std::vector<std::string>& notes);
  void DropWithoutPositive(muster::v1::ImportReport& report, std::vector<std::string>& notes);
  void CountQuery(uint32_t file, uint32_t query);
  void AddNotes(std::vector<std::string>& notes);

  DatasetWriter& writer_;
  References references_;
  const std::string source_;
  const BaseRecords* const base_;
  Place place_;
  std::string path_, split_;                // of the file that is read now
  uint32_t file_ = 0;                       // its number, from 1
  std::vector<NamedFiles*> named_of_file_;  // by file; null: its name did not decide its split
  std::map<std::string, NamedFiles> named_files_;  // by split

  DigestIndex document_ids_, query_ids_;                    // digest of an id → number of the document or query
  absl::flat_hash_map<Digest128, uint32_t> query_of_text_;  // for rows without ids, by normal form
  std::vector<uint32_t> document_of_passage_;               // for rows without ids: passage → document
  std::vector<uint32_t> last_file_;                         // by query: the file that had it last
  std::deque<WaitingRow> waiting_;
  uint64_t waiting_bytes_ = 0;
  std::map<LeftOut, uint64_t> left_out_;
  uint64_t negative_grades_ = 0;
  uint64_t repeated_ = 0;  // records of documents and queries that came before
};

}  // namespace muster
