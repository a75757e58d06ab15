// Turns the files of an import into a dataset's folder while their bytes arrive.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/split_name.h"
#include "coordinator/data/import/bad_records.h"
#include "coordinator/data/import/base_records.h"
#include "coordinator/data/import/decoder.h"
#include "coordinator/data/import/file_reader.h"
#include "coordinator/data/import/json_text.h"
#include "coordinator/data/import/rows.h"
#include "coordinator/data/import/schema.h"
#include "coordinator/data/import/unread_keys.h"
#include "coordinator/data/store/dataset_writer.h"
#include "muster/v1/data.pb.h"

namespace muster {

// Not thread-safe. Files come one after the other in any order: BeginFile, Chunk…, BeginFile, …, Finish. The folder is
// the caller's scratch folder: after an error it is incomplete, and the caller removes it.
//
// The first record of a file shows what the file holds (schema.h). The first file with judgments decides the schema of
// the import, unless the header names it. Files whose format holds no records are left out with a note.
class Importer {
 public:
  // INVALID_ARGUMENT for a header with a wrong name, schema, source, split or column. `base`: the dataset that is added to
  // (ImportHeader.add); null: none. `parquet`: muster-parquet.
  static absl::StatusOr<std::unique_ptr<Importer>> Create(const muster::v1::ImportHeader& header,
                                                          const std::filesystem::path& folder,
                                                          std::shared_ptr<const Dataset> base = nullptr,
                                                          const std::filesystem::path& parquet = ParquetProgram());

  // `split`: the split of this file's records (ImportFile.split). Empty: the header's, or what the file's name or schema says.
  // INVALID_ARGUMENT if they contradict each other, or the name is ambiguous (common/split_name.h).
  absl::Status BeginFile(const std::string& path, const std::string& split = "");
  absl::Status Chunk(std::string_view bytes);
  absl::StatusOr<muster::v1::ImportReport> Finish();

  uint64_t bytes() const { return bytes_; }  // of accepted files, as received
  uint64_t records() const { return records_; }  // that were read

 private:
  Importer(const muster::v1::ImportHeader& header, const std::filesystem::path& folder,
           const std::filesystem::path& parquet, std::unique_ptr<DatasetWriter> writer,
           std::unique_ptr<const BaseRecords> base);
  absl::Status EndFile();
  absl::Status LeaveOut();
  absl::Status Take(const Place& place, const absl::Status& status, std::string_view text, InputRecord& record);
  absl::Status Bad(const Place& place, const absl::Status& status, std::string_view text);
  // Decides, from the first record, what the current file holds.
  absl::Status Detect(const Place& place, const InputRecord& record);
  absl::Status NotRecognized(const Place& place, const InputRecord& record) const;
  absl::Status BeginKind(const RecordKind& kind);
  absl::Status BeginSplit();
  absl::Status CheckFinished() const;
  absl::Status CheckColumns() const;
  absl::Status NoSchema() const;

  muster::v1::ImportHeader header_;
  const std::filesystem::path folder_, parquet_;
  std::map<std::string, std::string> fields_;  // a file's own name → the schema's
  std::unique_ptr<DatasetWriter> writer_;
  std::unique_ptr<const BaseRecords> base_;  // null: none
  BadRecords bad_;
  JsonParser json_;
  Rows rows_;
  SplitAssignment splits_;
  std::vector<std::string> notes_;
  std::string schema_, schema_path_;  // the schema, and the file that decided it; empty: not decided
  bool is_beir_ = false;              // a file is named like one of BEIR's
  std::string beir_corpus_;           // the path of its corpus
  bool has_documents_ = false, has_queries_ = false, has_judgments_ = false;
  absl::btree_set<std::string> paths_;
  absl::btree_set<std::string> seen_fields_;  // the files' names in `fields_` that occurred
  UnreadKeys unread_;
  struct Look {
    std::string path, begin;  // the file's first bytes
  };
  std::vector<Look> looks_;  // of the first files that no schema could read
  // The current file: its path as received and without .gz or .zst, the split given for it, and its kind.
  std::string path_, plain_path_, split_;
  const RecordKind* kind_ = nullptr;
  std::vector<std::string> columns_;
  std::optional<FileReader> reader_;
  std::optional<Decoder> decoder_;
  bool is_open_ = false, is_left_out_ = false;
  uint64_t bytes_ = 0, records_ = 0;
};

}  // namespace muster
