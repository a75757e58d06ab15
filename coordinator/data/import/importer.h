// Turns the files of an import into a dataset's folder, as their bytes come in.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/data/import/bad_records.h"
#include "coordinator/data/import/decoder.h"
#include "coordinator/data/import/record_splitter.h"
#include "coordinator/data/import/schema.h"
#include "coordinator/data/store/dataset_writer.h"
#include "muster/v1/data.pb.h"

namespace muster {

// Not thread-safe. Files come one after the other in any order: BeginFile, Chunk…, BeginFile, …, Finish. The folder is
// the caller's scratch: after an error it is half written and the caller removes it.
//
// The schema is the header's, whatever the files are called; or BEIR at the first file that is named like one of BEIR's;
// or what the keys of the first record of a .jsonl or .json file show. Files that the schema does not take are left out
// with a note.
class Importer {
 public:
  // `base`: the dataset that the files' judgments are added to (ImportHeader.add); null: none.
  // INVALID_ARGUMENT for a header with a wrong name, schema, source or split.
  static absl::StatusOr<std::unique_ptr<Importer>> Create(const muster::v1::ImportHeader& header,
                                                          const std::filesystem::path& folder,
                                                          std::shared_ptr<const Dataset> base = nullptr);

  // `split`: of this file's records (ImportFile.split). Empty: the header's, or what the file's name or schema says.
  // INVALID_ARGUMENT if they contradict each other, or the name is ambiguous (common/split_name.h).
  absl::Status BeginFile(const std::string& path, const std::string& split = "");
  absl::Status Chunk(std::string_view bytes);
  absl::StatusOr<muster::v1::ImportReport> Finish();

  uint64_t bytes() const { return bytes_; }      // taken, as they came
  uint64_t records() const { return records_; }  // lines that were read

 private:
  Importer(const muster::v1::ImportHeader& header, std::unique_ptr<DatasetWriter> writer,
           std::unique_ptr<const BaseRecords> base);
  absl::Status EndFile();
  void Choose(std::string_view schema);
  absl::Status Detect(uint64_t line, std::string_view text);
  absl::Status Record(uint64_t line, std::string_view text);
  absl::Status NoSchema() const;
  absl::Status LeaveOut();

  muster::v1::ImportHeader header_;
  std::unique_ptr<DatasetWriter> writer_;
  std::unique_ptr<const BaseRecords> base_;  // null: none
  BadRecords bad_;
  std::vector<std::string> notes_;
  std::string schema_;
  std::unique_ptr<SchemaReader> reader_;
  absl::btree_set<std::string> paths_;
  struct Look {
    std::string path, begin;  // the file's first bytes
  };
  std::vector<Look> looks_;  // of the first files while no schema is known
  // Of the file that is read now: its path as it came and without .gz or .zst, and the split given for it. While it
  // is left out there is no splitter, and a decoder only as long as the look at it takes.
  std::string path_, plain_path_, split_;
  std::optional<RecordSplitter> splitter_;
  std::optional<Decoder> decoder_;
  bool is_open_ = false;
  uint64_t bytes_ = 0, records_ = 0;
};

}  // namespace muster
