#include "coordinator/data/store/catalogue.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/status.h"
#include "common/view.h"
#include "common/nearest_name.h"

namespace muster {
namespace {

constexpr std::string_view kDatasetKind = "dataset";
constexpr std::string_view kModelKind = "model";
constexpr std::string_view kPushKind = "push";
constexpr std::string_view kRequestKind = "request";
constexpr std::string_view kReportKind = "report";  // of a dataset's import, under the dataset's name

constexpr const char* kSchema =
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = FULL;"
    "CREATE TABLE IF NOT EXISTS entries ("
    "  kind TEXT NOT NULL, name TEXT NOT NULL, entry BLOB NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;";

absl::Status SqliteError(sqlite3* database, absl::string_view what) {
  return absl::InternalError(absl::StrCat("catalogue: ", what, ": ", sqlite3_errmsg(database)));
}

// A prepared statement; texts and blobs are bound by position, from 1.
class Statement {
 public:
  Statement(sqlite3* database, const char* sql) : database_(database) {
    sqlite3_prepare_v2(database, sql, -1, &statement_, nullptr);
  }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement() { sqlite3_finalize(statement_); }

  void BindText(int at, std::string_view text) {
    sqlite3_bind_text64(statement_, at, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  }
  void BindBlob(int at, std::string_view bytes) {
    sqlite3_bind_blob64(statement_, at, bytes.data(), bytes.size(), SQLITE_TRANSIENT);
  }
  // True: there is a row. False: done.
  absl::StatusOr<bool> Step() {
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return SqliteError(database_, "statement failed");
  }
  std::string Column(int at) const {
    const void* bytes = sqlite3_column_blob(statement_, at);
    return std::string(static_cast<const char*>(bytes), sqlite3_column_bytes(statement_, at));
  }

 private:
  sqlite3* database_;
  sqlite3_stmt* statement_ = nullptr;
};

template <typename Message>
absl::StatusOr<std::vector<Message>> ParseEntries(const absl::StatusOr<std::vector<std::string>>& entries) {
  if (!entries.ok()) return entries.status();
  std::vector<Message> messages(entries->size());
  for (size_t i = 0; i < entries->size(); ++i) {
    if (!messages[i].ParseFromString((*entries)[i])) return absl::DataLossError("catalog: an entry is damaged");
  }
  return messages;
}

template <typename Message>
absl::StatusOr<Message> FindByName(const absl::StatusOr<std::vector<Message>>& entries, const std::string& name,
                                   std::string_view kind, std::string_view reason) {
  if (!entries.ok()) return entries.status();
  std::vector<std::string> names;
  for (const Message& entry : *entries) {
    if (entry.name() == name) return entry;
    names.push_back(entry.name());
  }
  return WithReason(
      absl::NotFoundError(absl::StrCat(ToAbsl(kind), " \"", name, "\" does not exist. ", WhatExists(name, names))), reason);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Catalogue>> Catalogue::Open(const std::filesystem::path& file) {
  sqlite3* database = nullptr;
  const int code = sqlite3_open(file.c_str(), &database);
  std::unique_ptr<Catalogue> catalogue(new Catalogue(database));
  if (code != SQLITE_OK) return SqliteError(database, absl::StrCat(file.string(), " cannot be opened"));
  sqlite3_busy_timeout(database, 10000);
  if (sqlite3_exec(database, kSchema, nullptr, nullptr, nullptr) != SQLITE_OK) {
    return SqliteError(database, absl::StrCat(file.string(), " cannot be set up"));
  }
  return catalogue;
}

absl::Status Catalogue::Put(const std::vector<Row>& rows) {
  std::string sql = "INSERT OR REPLACE INTO entries (kind, name, entry) VALUES (?, ?, ?)";
  for (size_t i = 1; i < rows.size(); ++i) sql += ", (?, ?, ?)";  // one statement is one transaction
  absl::MutexLock lock(&mutex_);
  Statement statement(database_.get(), sql.c_str());
  int position = 0;
  for (const Row& row : rows) {
    statement.BindText(++position, row.kind);
    statement.BindText(++position, row.name);
    statement.BindBlob(++position, row.entry);
  }
  return statement.Step().status();
}

absl::StatusOr<std::optional<std::string>> Catalogue::Entry(std::string_view kind, const std::string& name) const {
  absl::MutexLock lock(&mutex_);
  Statement statement(database_.get(), "SELECT entry FROM entries WHERE kind = ? AND name = ?");
  statement.BindText(1, kind);
  statement.BindText(2, name);
  ASSIGN_OR_RETURN(const bool found, statement.Step());
  if (!found) return std::nullopt;
  return statement.Column(0);
}

absl::StatusOr<std::vector<std::string>> Catalogue::Entries(std::string_view kind) const {
  absl::MutexLock lock(&mutex_);
  Statement statement(database_.get(), "SELECT entry FROM entries WHERE kind = ? ORDER BY name");
  statement.BindText(1, kind);
  std::vector<std::string> entries;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, statement.Step());
    if (!row) return entries;
    entries.push_back(statement.Column(0));
  }
}

// Three lines, then the answer.
Catalogue::Row Catalogue::RowOf(const RememberedRequest& request) {
  return {kRequestKind, request.key,
          absl::StrCat(request.what, "\n", request.body, "\n", absl::ToUnixSeconds(request.time), "\n", request.answer)};
}

absl::Status Catalogue::Remove(const std::vector<RowName>& rows, const std::optional<RememberedRequest>& request) {
  absl::MutexLock lock(&mutex_);
  const auto run = [this](const char* sql) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return Statement(database_.get(), sql).Step().status();
  };
  RETURN_IF_ERROR(run("BEGIN IMMEDIATE"));
  const auto change = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
    for (const RowName& row : rows) {
      Statement statement(database_.get(), "DELETE FROM entries WHERE kind = ? AND name = ?");
      statement.BindText(1, row.kind);
      statement.BindText(2, row.name);
      RETURN_IF_ERROR(statement.Step().status());
    }
    if (!request.has_value()) return absl::OkStatus();
    const Row row = RowOf(*request);
    Statement statement(database_.get(), "INSERT OR REPLACE INTO entries (kind, name, entry) VALUES (?, ?, ?)");
    statement.BindText(1, row.kind);
    statement.BindText(2, row.name);
    statement.BindBlob(3, row.entry);
    return statement.Step().status();
  };
  absl::Status status = change();
  if (status.ok()) status = run("COMMIT");
  if (!status.ok()) run("ROLLBACK").IgnoreError();
  return status;
}

absl::Status Catalogue::PutDataset(const muster::v1::Dataset& dataset) {
  return Put({{kDatasetKind, dataset.name(), dataset.SerializeAsString()}});
}
absl::Status Catalogue::PutModel(const muster::v1::Model& model) {
  return Put({{kModelKind, model.name(), model.SerializeAsString()}});
}
absl::Status Catalogue::PutPushedModel(const muster::v1::Model& model, const std::string& push) {
  return Put({{kModelKind, model.name(), model.SerializeAsString()}, {kPushKind, push, model.SerializeAsString()}});
}
absl::StatusOr<std::optional<muster::v1::Model>> Catalogue::ModelOfPush(const std::string& push) const {
  ASSIGN_OR_RETURN(const std::optional<std::string> entry, Entry(kPushKind, push));
  if (!entry.has_value()) return std::nullopt;
  muster::v1::Model model;
  if (!model.ParseFromString(*entry)) return absl::DataLossError("catalog: an entry is damaged");
  return model;
}
absl::Status Catalogue::PutImport(const muster::v1::ImportReport& report, const std::optional<RememberedRequest>& request) {
  const muster::v1::Dataset& dataset = report.dataset();
  std::vector<Row> rows = {{kDatasetKind, dataset.name(), dataset.SerializeAsString()},
                           {kReportKind, dataset.name(), report.SerializeAsString()}};
  if (request.has_value()) rows.push_back(RowOf(*request));
  return Put(rows);
}
absl::StatusOr<std::optional<RememberedRequest>> Catalogue::FindRequest(const std::string& key) const {
  ASSIGN_OR_RETURN(const std::optional<std::string> entry, Entry(kRequestKind, key));
  if (!entry.has_value()) return std::nullopt;
  const std::vector<std::string> lines = absl::StrSplit(*entry, absl::MaxSplits('\n', 3));
  int64_t seconds = 0;
  if (lines.size() != 4 || !absl::SimpleAtoi(lines[2], &seconds)) return absl::DataLossError("catalog: a request is damaged");
  return RememberedRequest{key, lines[0], lines[1], absl::FromUnixSeconds(seconds), lines[3]};
}
absl::Status Catalogue::ForgetRequestsBefore(absl::Time time) {
  std::vector<RowName> old;
  {
    absl::MutexLock lock(&mutex_);
    Statement all(database_.get(), "SELECT name, substr(entry, 1, 1024) FROM entries WHERE kind = ?");
    all.BindText(1, kRequestKind);
    while (true) {
      ASSIGN_OR_RETURN(const bool row, all.Step());
      if (!row) break;
      const std::string begin = all.Column(1);
      const std::vector<std::string> lines = absl::StrSplit(begin, absl::MaxSplits('\n', 3));
      int64_t seconds = 0;
      if (lines.size() < 3 || !absl::SimpleAtoi(lines[2], &seconds) || seconds < absl::ToUnixSeconds(time)) {
        old.push_back({kRequestKind, all.Column(0)});
      }
    }
  }
  return old.empty() ? absl::OkStatus() : Remove(old, std::nullopt);
}
absl::StatusOr<std::optional<muster::v1::ImportReport>> Catalogue::ReportOf(const muster::v1::Dataset& dataset) const {
  ASSIGN_OR_RETURN(const std::optional<std::string> entry, Entry(kReportKind, dataset.name()));
  if (!entry.has_value()) return std::nullopt;
  muster::v1::ImportReport report;
  if (!report.ParseFromString(*entry)) return absl::DataLossError("catalog: a report is damaged");
  // A version without reports may have replaced the name's content since.
  if (report.dataset().digest() != dataset.digest()) return std::nullopt;
  return report;
}
absl::Status Catalogue::ForgetPushesBefore(absl::Time time) {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> old;
  Statement all(database_.get(), "SELECT name, entry FROM entries WHERE kind = ?");
  all.BindText(1, kPushKind);
  while (true) {
    ASSIGN_OR_RETURN(const bool row, all.Step());
    if (!row) break;
    muster::v1::Model model;
    if (!model.ParseFromString(all.Column(1)) || model.pushed().seconds() < absl::ToUnixSeconds(time)) {
      old.push_back(all.Column(0));
    }
  }
  for (const std::string& push : old) {
    Statement remove(database_.get(), "DELETE FROM entries WHERE kind = ? AND name = ?");
    remove.BindText(1, kPushKind);
    remove.BindText(2, push);
    RETURN_IF_ERROR(remove.Step().status());
  }
  return absl::OkStatus();
}
absl::StatusOr<std::vector<muster::v1::Dataset>> Catalogue::ListDatasets() const {
  return ParseEntries<muster::v1::Dataset>(Entries(kDatasetKind));
}
absl::StatusOr<std::vector<muster::v1::Model>> Catalogue::ListModels() const {
  return ParseEntries<muster::v1::Model>(Entries(kModelKind));
}
absl::StatusOr<muster::v1::Dataset> Catalogue::GetDataset(const std::string& name) const {
  return FindByName(ListDatasets(), name, kDatasetKind, "DATASET_NOT_FOUND");
}
absl::StatusOr<muster::v1::Model> Catalogue::GetModel(const std::string& name) const {
  return FindByName(ListModels(), name, kModelKind, "MODEL_NOT_FOUND");
}
absl::Status Catalogue::DeleteDataset(const std::string& name, const std::optional<RememberedRequest>& request) {
  RETURN_IF_ERROR(GetDataset(name).status());
  return Remove({{kDatasetKind, name}, {kReportKind, name}}, request);
}
absl::Status Catalogue::DeleteModel(const std::string& name, const std::optional<RememberedRequest>& request) {
  RETURN_IF_ERROR(GetModel(name).status());
  return Remove({{kModelKind, name}}, request);
}

absl::Status Catalogue::Probe() const {
  absl::MutexLock lock(&mutex_);
  return Statement(database_.get(), "SELECT kind FROM entries LIMIT 1").Step().status();
}

}  // namespace muster
