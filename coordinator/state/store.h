// The one owner of the coordinator's durable state.
//
// Commit() applies records at once, so that the next event is decided on the newest state, and hands them to a writer
// thread, which flushes them in groups (at most `group_delay` or `group_size` records together). Everything that reveals a
// record (a reply, a message to a worker) waits until on_durable has named its sequence number.
//
//   loop thread:   Commit(r1, r2) → 2    Commit(r3) → 3
//   writer thread:                 [r1 r2 r3] one transaction, one fsync  → on_durable(3)
//
// Snapshots are taken a few jobs at a time, beside the commits: no commit waits for a pass over all jobs. A snapshot that began
// after record n holds some jobs as they were later. Replaying everything after n over it gives the same state all the
// same, since each record replaces what its key had before. Of several records of one job that wait for the same flush, only
// the last one is written.
//
// A flush that fails ends the process: what was applied but not written must not be seen. It restarts and replays.
// The folder is locked, so that no second coordinator opens it; a kill releases the lock.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "coordinator/core/state.h"
#include "coordinator/state/journal.h"

namespace muster {

class Store {
 public:
  struct Options {
    std::filesystem::path folder;  // made if absent; on a local disk
    absl::Duration group_delay = absl::Milliseconds(2);
    size_t group_size = 256;
    uint64_t snapshot_every = 1000;  // records, or as many as there are jobs
    size_t snapshot_jobs = 8;        // that one commit adds to a snapshot under way
    // Called by the writer thread, with the highest sequence number that is on disk.
    std::function<void(uint64_t sequence)> on_durable = [](uint64_t) {};
    // Called by the writer thread after each flush.
    std::function<void(absl::Duration)> on_flush_time = [](absl::Duration) {};
    // Ends the process; tests look instead.
    std::function<void(const absl::Status&)> on_failure;
  };

  // Replays snapshot and journal, and raises the epoch (durable when this returns); a folder that was restored from a
  // backup begins as core/restore.h says. FAILED_PRECONDITION: another coordinator has the folder, or its restore
  // was not finished.
  static absl::StatusOr<std::unique_ptr<Store>> Open(Options options);
  ~Store();  // flushes what is pending

  // Only the thread that commits may look.
  const State& state() const { return state_; }

  // Applies the records, and queues them for the disk. Returns the sequence number of the last one. Never blocks.
  uint64_t Commit(std::vector<Record> records);
  uint64_t committed() const { return committed_; }

  // Waits until everything that was committed is on disk (or a flush failed); returns the highest number that is.
  uint64_t Flush();

 private:
  struct Pending {
    std::vector<JournalEntry> entries;              // without bytes: a later entry replaces it
    std::map<std::string, size_t> newest;           // job → index of its entry
    std::optional<JournalSnapshot> snapshot;
  };
  // A snapshot under way.
  struct Building {
    uint64_t sequence = 0;  // of the record after which it began
    std::string bytes;      // a Snapshot, in parts
    std::string last_job;   // those up to here are in it
  };
  explicit Store(Options options) : options_(std::move(options)) {}
  absl::Status Lock();
  absl::Status Replay();
  absl::Status RewriteFormerJournal();
  void Write();  // the writer thread
  bool WriteGroup(const Pending& pending);
  // Begins a snapshot if it is time, and adds to the one under way. The snapshot, if it is whole now.
  std::optional<JournalSnapshot> BuildSnapshot();

  const Options options_;
  State state_;  // changed by Commit (and Replay) alone
  uint64_t committed_ = 0;
  uint64_t snapshot_at_ = 0;  // where the newest one began
  std::optional<Building> building_;
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
