// Judgments by ids, which wait until all files have been read.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "coordinator/data/import/base_records.h"
#include "coordinator/data/import/canonical.h"
#include "coordinator/data/import/place.h"
#include "coordinator/data/store/digest_index.h"
#include "muster/v1/data.pb.h"

namespace muster {

// A query or a document: known by its number, or by an id of another file.
struct Reference {
  std::optional<uint32_t> number;
  std::string_view id;
};

// Not thread-safe.
class References {
 public:
  // `is_added`: the import adds to a dataset, and the judgments may name its queries and documents.
  References(std::optional<double> max_missing_share, bool is_added)
      : max_missing_share_(max_missing_share), is_added_(is_added) {}

  // `shown`: the path for messages.
  void BeginFile(const std::string& path, const std::string& shown, const std::string& split, uint32_t number) {
    file_ = &files_[path];
    file_->shown = shown;
    file_->split = split;
    file_->number = number;
  }
  void Add(const Place& place, const Reference& query, const Reference& document, const RecordedJudgment& judgment,
           uint16_t source);
  uint64_t size() const { return size_; }

  // Copies queries and documents from the dataset to the writer if judgments name them and the files do not contain them.
  absl::Status CopyFrom(const BaseRecords& base, DigestIndex& queries, DigestIndex& documents, DatasetWriter& writer) const;

  // `file`: the number of the file that names the query by an id; 0: the query's row was in the file itself.
  using Judge = absl::FunctionRef<void(const std::string& split, uint32_t query, uint32_t document,
                                       const RecordedJudgment& judgment, uint16_t source, uint32_t file)>;
  // Passes on the judgments, file by file in the order of their paths. Judgments of a query or document that does not
  // exist are left out and counted. INVALID_ARGUMENT if there are too many.
  absl::Status Resolve(const DigestIndex& queries, const DigestIndex& documents, Judge judge,
                       std::vector<std::string>& notes, muster::v1::ImportReport& report) const;

 private:
  // The default share of missing references above which an import is refused. A few judgments may always miss.
  static constexpr double kMaxMissingShare = 0.05;
  static constexpr uint64_t kAlwaysAllowed = 10;

  struct Entry {
    uint64_t number;  // of the line or row
    Digest128 query, document;  // digests of ids, or numbers
    RecordedJudgment judgment;
    uint16_t source;
    bool is_row, has_query, has_document;  // has_query, has_document: the field is a number, not an id's digest
  };
  struct File {
    std::string shown, split;
    uint32_t number = 0;
    std::vector<Entry> entries;
  };
  struct Missing {
    uint64_t query = 0, document = 0, either = 0;      // judgments
    std::string first_query, first_document, first;  // "FILE:LINE names query "q1""
  };
  absl::Status Check(const Missing& missing) const;
  absl::Status NoneIsThere(absl::string_view kind, const std::string& first) const;

  const std::optional<double> max_missing_share_;
  const bool is_added_;
  std::map<std::string, File> files_;  // by path
  File* file_ = nullptr;
  uint64_t size_ = 0;
};

}  // namespace muster
