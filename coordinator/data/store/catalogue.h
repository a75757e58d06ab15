// Names of datasets and models, what they point to, the reports of imports, and the request ids of the last day: one SQLite
// file in the state folder.
#pragma once

#include <sqlite3.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "muster/v1/data.pb.h"
#include "muster/v1/model.pb.h"

namespace muster {

// A mutation that was sent with a request id, and its answer.
struct RememberedRequest {
  std::string key;     // caller and request id
  std::string what;    // human-readable, one line: "to delete dataset faq"
  std::string body;    // digest of what was asked for
  absl::Time time;
  std::string answer;  // the bytes of the response; empty: it has no content
};

// Thread-safe. Every change is on disk when the call returns.
class Catalogue {
 public:
  static absl::StatusOr<std::unique_ptr<Catalogue>> Open(const std::filesystem::path& file);

  // Replaces an entry of the same name.
  absl::Status PutDataset(const muster::v1::Dataset& dataset);
  // Stores the report's dataset and the report itself in one write. Remembers the request, if there is one, in the same write;
  // deletions do, too.
  absl::Status PutImport(const muster::v1::ImportReport& report, const std::optional<RememberedRequest>& request = {});
  absl::Status PutModel(const muster::v1::Model& model);
  // The same, and in the same write remembers the push that set the name: `push` identifies caller and request id.
  absl::Status PutPushedModel(const muster::v1::Model& model, const std::string& push);
  absl::StatusOr<std::optional<muster::v1::Model>> ModelOfPush(const std::string& push) const;
  absl::Status ForgetPushesBefore(absl::Time time);
  // NOT_FOUND (DATASET_NOT_FOUND, MODEL_NOT_FOUND) lists what exists and the nearest name.
  absl::StatusOr<muster::v1::Dataset> GetDataset(const std::string& name) const;
  absl::StatusOr<muster::v1::Model> GetModel(const std::string& name) const;
  // The report of the import that gave `dataset` its content. Nothing: it was imported by a version without reports.
  absl::StatusOr<std::optional<muster::v1::ImportReport>> ReportOf(const muster::v1::Dataset& dataset) const;
  absl::StatusOr<std::vector<muster::v1::Dataset>> ListDatasets() const;  // by name
  absl::StatusOr<std::vector<muster::v1::Model>> ListModels() const;
  // NOT_FOUND as above.
  absl::Status DeleteDataset(const std::string& name, const std::optional<RememberedRequest>& request = {});
  absl::Status DeleteModel(const std::string& name, const std::optional<RememberedRequest>& request = {});
  absl::StatusOr<std::optional<RememberedRequest>> FindRequest(const std::string& key) const;
  absl::Status ForgetRequestsBefore(absl::Time time);
  absl::Status Probe() const;  // OK: the database can be read

 private:
  explicit Catalogue(sqlite3* database) : database_(database, &sqlite3_close) {}
  struct Row {
    std::string_view kind;
    std::string name, entry;
  };
  struct RowName {
    std::string_view kind;
    std::string name;
  };
  static Row RowOf(const RememberedRequest& request);
  absl::Status Put(const std::vector<Row>& rows) ABSL_LOCKS_EXCLUDED(mutex_);  // all or none
  // Removes the rows and remembers the request: both or neither.
  absl::Status Remove(const std::vector<RowName>& rows, const std::optional<RememberedRequest>& request)
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<std::optional<std::string>> Entry(std::string_view kind, const std::string& name) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<std::vector<std::string>> Entries(std::string_view kind) const ABSL_LOCKS_EXCLUDED(mutex_);

  mutable absl::Mutex mutex_;
  std::unique_ptr<sqlite3, int (*)(sqlite3*)> database_ ABSL_PT_GUARDED_BY(mutex_);
};

}  // namespace muster
