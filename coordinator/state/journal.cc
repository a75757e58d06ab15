#include "coordinator/state/journal.h"

#include <sqlite3.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace muster {
namespace {

class Statement {
 public:
  Statement(sqlite3* database, const char* sql) {
    if (sqlite3_prepare_v2(database, sql, -1, &statement_, nullptr) != SQLITE_OK) statement_ = nullptr;
  }
  ~Statement() { sqlite3_finalize(statement_); }
  bool ok() const { return statement_ != nullptr; }
  sqlite3_stmt* get() { return statement_; }
  void Bind(int index, uint64_t value) { sqlite3_bind_int64(statement_, index, static_cast<int64_t>(value)); }
  void Bind(int index, const std::string& bytes) {
    sqlite3_bind_blob64(statement_, index, bytes.data(), bytes.size(), SQLITE_STATIC);
  }
  std::string Blob(int column) {
    const void* data = sqlite3_column_blob(statement_, column);
    return data == nullptr ? std::string()
                           : std::string(static_cast<const char*>(data), sqlite3_column_bytes(statement_, column));
  }

 private:
  sqlite3_stmt* statement_ = nullptr;
};

}  // namespace

absl::Status Journal::Error(const char* what) const {
  return absl::DataLossError(absl::StrCat(file_.string(), ": cannot ", what, ": ", sqlite3_errmsg(database_),
                                          ". Check the disk, or restore the folder's backup."));
}

absl::Status Journal::Execute(const char* sql) {
  return sqlite3_exec(database_, sql, nullptr, nullptr, nullptr) == SQLITE_OK ? absl::OkStatus() : Error(sql);
}

absl::StatusOr<std::unique_ptr<Journal>> Journal::Open(const std::filesystem::path& file) {
  std::unique_ptr<Journal> journal(new Journal(file));
  if (sqlite3_open_v2(file.c_str(), &journal->database_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr) !=
      SQLITE_OK) {
    return journal->Error("open");
  }
  RETURN_IF_ERROR(journal->CheckFormat());
  for (const char* sql : {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL",
                          "CREATE TABLE IF NOT EXISTS journal(sequence INTEGER PRIMARY KEY, record BLOB NOT NULL)",
                          "CREATE TABLE IF NOT EXISTS snapshot(sequence INTEGER NOT NULL, state BLOB NOT NULL)"}) {
    RETURN_IF_ERROR(journal->Execute(sql));
  }
  return journal;
}

absl::Status Journal::CheckFormat() {
  Statement select(database_, "PRAGMA user_version");
  if (!select.ok() || sqlite3_step(select.get()) != SQLITE_ROW) return Error("read the format");
  format_ = std::max(1, sqlite3_column_int(select.get(), 0));
  if (format_ <= kJournalFormat) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      file_.string(), ": written by a newer version (format ", format_, "; this version reads up to ", kJournalFormat,
      "). Start that version again, or restore the backup from before the upgrade."));
}

absl::Status Journal::MarkFormat() {
  return Execute(absl::StrCat("PRAGMA user_version=", kJournalFormat).c_str());
}

Journal::~Journal() { sqlite3_close(database_); }

absl::StatusOr<JournalSnapshot> Journal::LoadSnapshot() {
  Statement select(database_, "SELECT sequence, state FROM snapshot");
  if (!select.ok()) return Error("read the snapshot");
  const int result = sqlite3_step(select.get());
  if (result == SQLITE_DONE) return JournalSnapshot{};
  if (result != SQLITE_ROW) return Error("read the snapshot");
  return JournalSnapshot{static_cast<uint64_t>(sqlite3_column_int64(select.get(), 0)), select.Blob(1)};
}

absl::StatusOr<std::vector<JournalEntry>> Journal::LoadEntries(uint64_t after) {
  Statement select(database_, "SELECT sequence, record FROM journal WHERE sequence > ?1 ORDER BY sequence");
  if (!select.ok()) return Error("read the journal");
  select.Bind(1, after);
  std::vector<JournalEntry> entries;
  while (true) {
    const int result = sqlite3_step(select.get());
    if (result == SQLITE_DONE) return entries;
    if (result != SQLITE_ROW) return Error("read the journal");
    entries.push_back({static_cast<uint64_t>(sqlite3_column_int64(select.get(), 0)), select.Blob(1)});
  }
}

absl::Status Journal::Append(absl::Span<const JournalEntry> entries) {
  RETURN_IF_ERROR(Execute("BEGIN IMMEDIATE"));
  Statement insert(database_, "INSERT INTO journal(sequence, record) VALUES(?1, ?2)");
  if (!insert.ok()) return Error("append");
  for (const JournalEntry& entry : entries) {
    if (entry.bytes.empty()) continue;
    insert.Bind(1, entry.sequence);
    insert.Bind(2, entry.bytes);
    if (sqlite3_step(insert.get()) != SQLITE_DONE) return Error("append");
    sqlite3_reset(insert.get());
  }
  return Execute("COMMIT");
}

absl::Status Journal::WriteSnapshot(const JournalSnapshot& snapshot) {
  RETURN_IF_ERROR(Execute("BEGIN IMMEDIATE"));
  RETURN_IF_ERROR(Execute("DELETE FROM snapshot"));
  Statement insert(database_, "INSERT INTO snapshot(sequence, state) VALUES(?1, ?2)");
  if (!insert.ok()) return Error("write the snapshot");
  insert.Bind(1, snapshot.sequence);
  insert.Bind(2, snapshot.bytes);
  if (sqlite3_step(insert.get()) != SQLITE_DONE) return Error("write the snapshot");
  Statement drop(database_, "DELETE FROM journal WHERE sequence <= ?1");
  if (!drop.ok()) return Error("write the snapshot");
  drop.Bind(1, snapshot.sequence);
  if (sqlite3_step(drop.get()) != SQLITE_DONE) return Error("write the snapshot");
  return Execute("COMMIT");
}

}  // namespace muster
