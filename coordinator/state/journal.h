// The coordinator's durable state in one SQLite file (WAL, synchronous FULL): after Write returns, it survives a crash of
// the process and of the machine.
//
//   journal(sequence INTEGER PRIMARY KEY, record BLOB)         records, oldest first
//   item(key TEXT PRIMARY KEY, sequence INTEGER, record BLOB)  one row per job, worker, manifest of garbage, and one for
//                                                              the epoch: the record that recreates its state after
//                                                              `sequence`. It contains all records of its key up to there.
//   PRAGMA user_version                                        the format; 0: format 1, before it was written down. What
//                                                              older formats meant: coordinator/core/former_records.h
//
// Before format 3 there were no items, but snapshot(sequence INTEGER, state BLOB) with one row: the whole state.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

struct sqlite3;

namespace muster {

// Incremented when a coordinator of the previous version could no longer read this version's files, or would lose data. New
// fields that it may ignore do not change it.
inline constexpr int kJournalFormat = 3;
inline constexpr int kFirstFormatWithItems = 3;

struct JournalEntry {
  uint64_t sequence = 0;
  std::string bytes;  // a Record
};
struct JournalItem {
  std::string key;
  uint64_t sequence = 0;
  std::string bytes;  // a Record; empty: the item was removed
};
struct JournalSnapshot {  // of a former format
  uint64_t sequence = 0;
  std::string bytes;  // a Snapshot; empty: none
};

// Not thread-safe: opened and loaded by one thread, then written by one thread.
class Journal {
 public:
  // FAILED_PRECONDITION: a newer version has written it. An older format stays unchanged until Upgrade.
  static absl::StatusOr<std::unique_ptr<Journal>> Open(const std::filesystem::path& file);
  ~Journal();

  int format() const { return format_; }  // the file's format when it was opened
  // Replaces everything in a file of a former format, and marks the file as kJournalFormat, in one transaction.
  absl::Status Upgrade(absl::Span<const JournalItem> items);

  absl::StatusOr<JournalSnapshot> LoadFormerSnapshot();
  absl::StatusOr<std::vector<JournalItem>> LoadItems();
  absl::StatusOr<std::vector<JournalEntry>> LoadEntries(uint64_t after);
  // Adds the entries, replaces or removes the items, and drops entries up to `covered`: all in one transaction.
  absl::Status Write(absl::Span<const JournalEntry> entries, absl::Span<const JournalItem> items, uint64_t covered);

 private:
  explicit Journal(std::filesystem::path file) : file_(std::move(file)) {}
  absl::Status Execute(const char* sql);
  absl::Status CheckFormat();
  absl::Status WriteAll(absl::Span<const JournalEntry> entries, absl::Span<const JournalItem> items, uint64_t covered);
  absl::Status WriteItems(absl::Span<const JournalItem> items);
  absl::Status Error(const char* what) const;

  std::filesystem::path file_;
  int format_ = 0;
  sqlite3* database_ = nullptr;
};

}  // namespace muster
