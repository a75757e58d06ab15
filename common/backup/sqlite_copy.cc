#include "common/backup/sqlite_copy.h"

#include <sqlite3.h>

#include <memory>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status.h"

namespace muster {
namespace {

using Database = std::unique_ptr<sqlite3, int (*)(sqlite3*)>;

absl::Status Error(sqlite3* database, const std::filesystem::path& file, absl::string_view what) {
  return absl::DataLossError(absl::StrCat(file.string(), ": ", what, ": ", sqlite3_errmsg(database)));
}

absl::StatusOr<Database> Open(const std::filesystem::path& file, int flags) {
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(file.c_str(), &raw, flags, nullptr);
  Database database(raw, &sqlite3_close);
  if (code != SQLITE_OK) return Error(raw, file, "cannot be opened");
  sqlite3_busy_timeout(raw, 10000);
  return database;
}

// "ok", or the first problem found.
std::string QuickCheck(sqlite3* database) {
  std::string answer = "no answer";
  sqlite3_stmt* statement = nullptr;
  sqlite3_prepare_v2(database, "PRAGMA quick_check(1)", -1, &statement, nullptr);
  if (sqlite3_step(statement) == SQLITE_ROW) {
    answer = reinterpret_cast<const char*>(sqlite3_column_text(statement, 0));
  }
  sqlite3_finalize(statement);
  return answer;
}

}  // namespace

absl::Status CopySqlite(const std::filesystem::path& source, const std::filesystem::path& target) {
  ASSIGN_OR_RETURN(const Database from, Open(source, SQLITE_OPEN_READWRITE));
  ASSIGN_OR_RETURN(const Database to, Open(target, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE));
  sqlite3_backup* copy = sqlite3_backup_init(to.get(), "main", from.get(), "main");
  if (copy == nullptr) return Error(to.get(), target, "cannot be copied to");
  const int stepped = sqlite3_backup_step(copy, -1);  // all pages in one read transaction
  const int finished = sqlite3_backup_finish(copy);
  if (stepped != SQLITE_DONE || finished != SQLITE_OK) return Error(to.get(), target, "the copy failed");
  // The header is copied and says WAL, but the copy has no WAL file.
  if (sqlite3_exec(to.get(), "PRAGMA journal_mode = DELETE", nullptr, nullptr, nullptr) != SQLITE_OK) {
    return Error(to.get(), target, "cannot be closed");
  }
  if (const std::string answer = QuickCheck(to.get()); answer != "ok") {
    return absl::DataLossError(absl::StrCat(source.string(), ": is damaged: ", answer, ". Restore an earlier backup."));
  }
  return FlushToDisk(target);
}

}  // namespace muster
