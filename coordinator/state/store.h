// The one owner of the coordinator's durable state.
//
// Commit() applies records at once, so that the next event is decided on the newest state, and hands them to a writer
// thread, which flushes them in groups (at most `group_delay` or `group_size` records together). Everything that reveals a
// record (a reply, a message to a worker) waits until on_durable has named its sequence number.
//
//   loop thread:   Commit(r1, r2) → 2    Commit(r3) → 3
//   writer thread:                 [r1 r2 r3] one transaction, one fsync  → on_durable(3)
//
// For a known job only the changes of its record are written, so that the bytes of a whole attempt are linear in its ranks. In
// addition to the records, each commit writes some items (journal.h), chosen by item_schedule.h. No commit waits for a pass
// over all jobs, and a restart replays only the entries that the items do not contain.
//
// If the disk is full, a flush is retried until there is space: until then nothing becomes durable, and nothing is lost. Any
// other failed flush ends the process, because changes that were applied but not written must not be visible. It restarts and
// replays. The folder is locked, so that no second coordinator opens it; a kill releases the lock.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "coordinator/core/state.h"
#include "coordinator/state/item_schedule.h"
#include "coordinator/state/journal.h"

namespace muster {

class Store {
 public:
  struct Options {
    std::filesystem::path folder;  // made if absent; on a local disk
    absl::Duration group_delay = absl::Milliseconds(2);
    size_t group_size = 256;
    uint64_t least_entries = 1000;   // how many entries may stay in the journal before items are written
    size_t items_per_commit = 8;     // at most
    // Called by the writer thread, with the highest sequence number that is on disk.
    std::function<void(uint64_t sequence)> on_durable = [](uint64_t) {};
    // Called by the writer thread after each flush.
    std::function<void(absl::Duration)> on_flush_time = [](absl::Duration) {};
    // Called by the writer thread when it begins to wait for space.
    std::function<void()> on_full = [] {};
    // Ends the process. Tests replace it.
    std::function<void(const absl::Status&)> on_failure;
  };

  // Loads the items, replays the journal, and raises the epoch (durable when this returns); a folder that was restored from a
  // backup begins as core/restore.h says. FAILED_PRECONDITION: another coordinator uses the folder, or its restore
  // was not finished.
  static absl::StatusOr<std::unique_ptr<Store>> Open(Options options);
  ~Store();  // flushes what is pending

  // Only the thread that commits may look.
  const State& state() const { return state_; }

  // Compacts records that were not accessed recently. Invalidates references to records. Call it often.
  void Settle() { state_.jobs.Settle(); }

  // Applies the records, and queues them for the disk. Returns the sequence number of the last one. Never blocks.
  uint64_t Commit(std::vector<Record> records);
  uint64_t committed() const { return committed_; }

  // Waits until everything that was committed is on disk (or a flush failed); returns the highest number that is.
  uint64_t Flush();

  // The bytes of records committed since Open. Only for the thread that commits.
  struct Written {
    uint64_t entries = 0, items = 0;
  };
  const Written& written() const { return written_; }

 private:
  struct Pending {
    std::vector<JournalEntry> entries;
    std::map<std::string, JournalItem> items;  // by key
    uint64_t covered = 0;                      // the items have all entries up to this one
  };
  explicit Store(Options options) : options_(std::move(options)), schedule_(options_.least_entries) {}
  absl::Status Lock();
  absl::Status Replay();
  absl::Status ReplayFormer();
  absl::Status CannotRead(absl::string_view what) const;
  void Write();  // the writer thread
  bool WriteGroup(Pending pending);
  // Retries until there is space, or the store closes.
  absl::Status WriteWhenThereIsSpace(const std::function<absl::Status()>& write, absl::Status status);
  // The items to write, with their present state.
  std::vector<JournalItem> TakeDueItems();

  const Options options_;
  State state_;  // changed only by Commit (and Replay)
  uint64_t committed_ = 0;
  ItemSchedule schedule_;
  Written written_;
  int lock_ = -1;
  std::unique_ptr<Journal> journal_;  // the writer thread's, once it runs

  absl::Mutex mutex_;
  Pending pending_ ABSL_GUARDED_BY(mutex_);
  uint64_t durable_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t queued_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  bool failed_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread writer_;
};

}  // namespace muster
