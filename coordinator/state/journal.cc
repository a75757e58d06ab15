#include "coordinator/state/journal.h"

#include <sqlite3.h>

#include <algorithm>
#include <cerrno>

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
  void BindBlob(int index, const std::string& bytes) {
    sqlite3_bind_blob64(statement_, index, bytes.data(), bytes.size(), SQLITE_STATIC);
  }
  void BindText(int index, const std::string& text) {
    sqlite3_bind_text64(statement_, index, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
  }
  // Whether a statement that returns no rows succeeded. It can be bound and run again.
  bool Run() {
    const int result = sqlite3_step(statement_);
    sqlite3_reset(statement_);
    return result == SQLITE_DONE;
  }
  uint64_t Number(int column) { return static_cast<uint64_t>(sqlite3_column_int64(statement_, column)); }
  std::string Blob(int column) {
    const void* data = sqlite3_column_blob(statement_, column);
    return data == nullptr ? std::string()
                           : std::string(static_cast<const char*>(data), sqlite3_column_bytes(statement_, column));
  }

 private:
  sqlite3_stmt* statement_ = nullptr;
};

// Whether the last fault of the database's file or of its log was a quota, or a limit on the size of files: SQLite only has a
// code for a full volume.
bool FoundNoSpace(sqlite3* database) {
  for (const int operation : {SQLITE_FCNTL_FILE_POINTER, SQLITE_FCNTL_JOURNAL_POINTER}) {
    sqlite3_file* file = nullptr;
    int fault = 0;
    if (sqlite3_file_control(database, "main", operation, static_cast<void*>(&file)) != SQLITE_OK || file == nullptr ||
        file->pMethods == nullptr || file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &fault) != SQLITE_OK) {
      continue;
    }
    if (fault == ENOSPC || fault == EDQUOT || fault == EFBIG) return true;
  }
  return false;
}

}  // namespace

absl::Status Journal::Error(const char* what) const {
  const int code = sqlite3_errcode(database_);
  if (code == SQLITE_FULL || (code == SQLITE_IOERR && FoundNoSpace(database_))) {
    return absl::ResourceExhaustedError(absl::StrCat(file_.string(), ": cannot ", what, ": ", sqlite3_errmsg(database_)));
  }
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
                          "CREATE TABLE IF NOT EXISTS item(key TEXT PRIMARY KEY, sequence INTEGER NOT NULL, "
                          "record BLOB NOT NULL)"}) {
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

Journal::~Journal() { sqlite3_close(database_); }

absl::Status Journal::Upgrade(absl::Span<const JournalItem> items) {
  for (const char* sql : {"BEGIN IMMEDIATE", "DELETE FROM journal", "DELETE FROM item", "DROP TABLE IF EXISTS snapshot"}) {
    RETURN_IF_ERROR(Execute(sql));
  }
  RETURN_IF_ERROR(WriteItems(items));
  RETURN_IF_ERROR(Execute(absl::StrCat("PRAGMA user_version=", kJournalFormat).c_str()));
  return Execute("COMMIT");
}

absl::StatusOr<JournalSnapshot> Journal::LoadFormerSnapshot() {
  // A new file does not have the table yet.
  RETURN_IF_ERROR(Execute("CREATE TABLE IF NOT EXISTS snapshot(sequence INTEGER NOT NULL, state BLOB NOT NULL)"));
  Statement select(database_, "SELECT sequence, state FROM snapshot");
  if (!select.ok()) return Error("read the snapshot");
  const int result = sqlite3_step(select.get());
  if (result == SQLITE_DONE) return JournalSnapshot{};
  if (result != SQLITE_ROW) return Error("read the snapshot");
  return JournalSnapshot{select.Number(0), select.Blob(1)};
}

absl::StatusOr<std::vector<JournalItem>> Journal::LoadItems() {
  Statement select(database_, "SELECT key, sequence, record FROM item ORDER BY key");
  if (!select.ok()) return Error("read the items");
  std::vector<JournalItem> items;
  while (true) {
    const int result = sqlite3_step(select.get());
    if (result == SQLITE_DONE) return items;
    if (result != SQLITE_ROW) return Error("read the items");
    items.push_back({select.Blob(0), select.Number(1), select.Blob(2)});
  }
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
    entries.push_back({select.Number(0), select.Blob(1)});
  }
}

absl::Status Journal::Write(absl::Span<const JournalEntry> entries, absl::Span<const JournalItem> items, uint64_t covered) {
  RETURN_IF_ERROR(Execute("BEGIN IMMEDIATE"));
  absl::Status status = WriteAll(entries, items, covered);
  if (status.ok()) status = Execute("COMMIT");
  // Some faults have already ended the transaction.
  if (!status.ok() && sqlite3_get_autocommit(database_) == 0) Execute("ROLLBACK").IgnoreError();
  return status;
}

absl::Status Journal::WriteAll(absl::Span<const JournalEntry> entries, absl::Span<const JournalItem> items, uint64_t covered) {
  Statement insert(database_, "INSERT INTO journal(sequence, record) VALUES(?1, ?2)");
  if (!insert.ok()) return Error("append");
  for (const JournalEntry& entry : entries) {
    if (entry.sequence <= covered) continue;  // an item of this transaction contains it
    insert.Bind(1, entry.sequence);
    insert.BindBlob(2, entry.bytes);
    if (!insert.Run()) return Error("append");
  }
  if (!items.empty()) {
    RETURN_IF_ERROR(WriteItems(items));
    Statement drop(database_, "DELETE FROM journal WHERE sequence <= ?1");
    if (!drop.ok()) return Error("drop entries");
    drop.Bind(1, covered);
    if (!drop.Run()) return Error("drop entries");
  }
  return absl::OkStatus();
}

absl::Status Journal::WriteItems(absl::Span<const JournalItem> items) {
  Statement put(database_, "INSERT INTO item(key, sequence, record) VALUES(?1, ?2, ?3) "
                           "ON CONFLICT(key) DO UPDATE SET sequence = excluded.sequence, record = excluded.record");
  Statement remove(database_, "DELETE FROM item WHERE key = ?1");
  if (!put.ok() || !remove.ok()) return Error("write items");
  for (const JournalItem& item : items) {
    Statement& statement = item.bytes.empty() ? remove : put;
    statement.BindText(1, item.key);
    if (!item.bytes.empty()) {
      statement.Bind(2, item.sequence);
      statement.BindBlob(3, item.bytes);
    }
    if (!statement.Run()) return Error("write items");
  }
  return absl::OkStatus();
}

}  // namespace muster
