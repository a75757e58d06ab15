// The journal and its snapshots in one SQLite file (WAL, synchronous FULL): after Append returns, the records survive
// a crash of the process and of the machine.
//
//   journal(sequence INTEGER PRIMARY KEY, record BLOB)   records after the snapshot
//   PRAGMA user_version                                  the format; 0: format 1, before it was written down. What
//   older
//                                                        formats meant: coordinator/core/former_records.h
//   snapshot(sequence INTEGER, state BLOB)               one row: the state after that record
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

// Raised where a coordinator of the version before could no longer read what this one writes, or would lose some of it.
// Additions that it may ignore (new fields) leave it as it is.
inline constexpr int kJournalFormat = 2;

struct JournalEntry {
  uint64_t sequence = 0;
  std::string bytes;  // a Record
};
struct JournalSnapshot {
  uint64_t sequence = 0;
  std::string bytes;  // a Snapshot; empty: none yet
};

// Not thread-safe: opened and loaded by one thread, then written by one thread.
class Journal {
 public:
  // FAILED_PRECONDITION: a newer version has written it. An older format stays as it is until MarkFormat.
  static absl::StatusOr<std::unique_ptr<Journal>> Open(const std::filesystem::path& file);
  ~Journal();

  int format() const { return format_; }  // as it was opened
  // The file is of kJournalFormat from now on: call it once all that it holds is.
  absl::Status MarkFormat();

  absl::StatusOr<JournalSnapshot> LoadSnapshot();
  absl::StatusOr<std::vector<JournalEntry>> LoadEntries(uint64_t after);
  // All of them or none, in one transaction; those without bytes are left out.
  absl::Status Append(absl::Span<const JournalEntry> entries);
  // Replaces the snapshot and drops the entries that it covers.
  absl::Status WriteSnapshot(const JournalSnapshot& snapshot);

 private:
  explicit Journal(std::filesystem::path file) : file_(std::move(file)) {}
  absl::Status Execute(const char* sql);
  absl::Status CheckFormat();
  absl::Status Error(const char* what) const;

  std::filesystem::path file_;
  int format_ = 0;
  sqlite3* database_ = nullptr;
};

}  // namespace muster
