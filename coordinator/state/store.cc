#include "coordinator/state/store.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/backup/restore_mark.h"
#include "common/clock.h"
#include "common/deterministic_bytes.h"
#include "common/exit_code.h"
#include "common/files.h"
#include "common/status.h"
#include "coordinator/core/check_state.h"
#include "coordinator/core/former_records.h"
#include "coordinator/core/restore.h"

namespace muster {

absl::StatusOr<std::unique_ptr<Store>> Store::Open(Options options) {
  if (!options.on_failure) {
    options.on_failure = [](const absl::Status& status) {
      spdlog::critical("the journal cannot be written, the coordinator ends: {}", status.ToString());
      std::_Exit(kExitJobFailed);
    };
  }
  RETURN_IF_ERROR(MakeFolders(options.folder));
  std::unique_ptr<Store> store(new Store(std::move(options)));
  RETURN_IF_ERROR(store->Lock());
  ASSIGN_OR_RETURN(const std::optional<RestoreMark> mark, ReadRestoreMark(store->options_.folder));
  ASSIGN_OR_RETURN(store->journal_, Journal::Open(store->options_.folder / "coordinator.db"));
  RETURN_IF_ERROR(store->Replay());
  store->writer_ = std::thread([raw = store.get()] { raw->Write(); });
  if (mark.has_value()) {
    std::vector<Record> restored = AfterRestore(store->state_, mark->epoch, mark->backup, RealClock().Now());
    if (!restored.empty()) store->Commit(std::move(restored));
  }
  Record raised;
  raised.mutable_epoch()->set_epoch(store->state_.epoch + 1);
  store->Commit({raised});
  store->Flush();
  return store;
}

Store::~Store() {
  if (writer_.joinable()) {
    {
      absl::MutexLock lock(&mutex_);
      closing_ = true;
    }
    writer_.join();
  }
  journal_.reset();
  if (lock_ >= 0) close(lock_);
}

absl::Status Store::Lock() {
  const std::filesystem::path file = options_.folder / "lock";
  lock_ = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_ < 0) return absl::PermissionDeniedError(absl::StrCat(file.string(), ": cannot be opened for writing"));
  if (flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        options_.folder.string(), ": another coordinator has this folder. Stop it, or choose another --state."));
  }
  return absl::OkStatus();
}

absl::Status Store::Replay() {
  const bool former = journal_->format() < kJournalFormat;
  ASSIGN_OR_RETURN(const JournalSnapshot snapshot, journal_->LoadSnapshot());
  if (!snapshot.bytes.empty()) {
    ASSIGN_OR_RETURN(state_, StateFromSnapshot(snapshot.bytes, former));
  }
  committed_ = snapshot_at_ = snapshot.sequence;
  ASSIGN_OR_RETURN(const std::vector<JournalEntry> entries, journal_->LoadEntries(snapshot.sequence));
  for (const JournalEntry& entry : entries) {
    Record record;
    if (!record.ParseFromString(entry.bytes)) {
      return absl::DataLossError(absl::StrCat((options_.folder / "coordinator.db").string(), ": record ",
                                              entry.sequence, " cannot be read. Restore the folder's backup."));
    }
    if (former && record.has_job()) UpgradeFormerRecord(*record.mutable_job());
    RETURN_IF_ERROR(WithContext(Apply(record, state_), "replay"));
    committed_ = entry.sequence;
  }
  RETURN_IF_ERROR(CheckState(state_));
  if (former) RETURN_IF_ERROR(RewriteFormerJournal());
  absl::MutexLock lock(&mutex_);
  durable_ = queued_ = committed_;
  return absl::OkStatus();
}

// The upgraded state replaces all old records before the file says that it is of this format. A crash between the two
// repeats the upgrade, which changes nothing the second time.
absl::Status Store::RewriteFormerJournal() {
  if (committed_ > 0) {
    RETURN_IF_ERROR(journal_->WriteSnapshot({committed_, SnapshotBytes(state_)}));
    snapshot_at_ = committed_;
  }
  return journal_->MarkFormat();
}

uint64_t Store::Commit(std::vector<Record> records) {
  struct Entry {
    JournalEntry entry;
    std::string job;  // empty: the record is not of a job
  };
  std::vector<Entry> entries;
  for (const Record& record : records) {
    const absl::Status applied = Apply(record, state_);
    if (!applied.ok()) {
      options_.on_failure(applied);
      return committed_;
    }
    entries.push_back({{++committed_, DeterministicBytes(record)}, record.has_job() ? record.job().job().id() : ""});
  }
  std::optional<JournalSnapshot> snapshot = BuildSnapshot();
  absl::MutexLock lock(&mutex_);
  for (Entry& entry : entries) {
    if (!entry.job.empty()) {
      const auto [newest, first] = pending_.newest.try_emplace(entry.job, pending_.entries.size());
      if (!first) {
        pending_.entries[newest->second].bytes.clear();
        newest->second = pending_.entries.size();
      }
    }
    pending_.entries.push_back(std::move(entry.entry));
  }
  if (snapshot.has_value()) pending_.snapshot = std::move(snapshot);
  queued_ = committed_;
  return committed_;
}

std::optional<JournalSnapshot> Store::BuildSnapshot() {
  const uint64_t due = std::max<uint64_t>(options_.snapshot_every, state_.jobs.size());
  if (!building_.has_value()) {
    if (committed_ - snapshot_at_ < due) return std::nullopt;
    building_ = Building{.sequence = committed_};
    snapshot_at_ = committed_;
  }
  // Serialized messages that follow each other are one message, whose repeated fields are all of theirs.
  journal::v1::Snapshot part;
  auto job = state_.jobs.upper_bound(building_->last_job);
  for (size_t i = 0; i < options_.snapshot_jobs && job != state_.jobs.end(); ++i, ++job) {
    *part.add_jobs() = job->second;
    building_->last_job = job->first;
  }
  if (job != state_.jobs.end()) {
    building_->bytes += DeterministicBytes(part);
    return std::nullopt;
  }
  part.set_epoch(state_.epoch);
  for (const auto& [name, worker] : state_.workers) *part.add_workers() = worker;
  for (const std::string& manifest : state_.garbage) part.add_garbage(manifest);
  building_->bytes += DeterministicBytes(part);
  JournalSnapshot snapshot{building_->sequence, std::move(building_->bytes)};
  building_.reset();
  return snapshot;
}

uint64_t Store::Flush() {
  const auto done = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return durable_ >= queued_ || failed_; };
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(&done));
  return durable_;
}

bool Store::WriteGroup(const Pending& pending) {
  const absl::Duration begin = RealClock().Monotonic();
  absl::Status status = journal_->Append(pending.entries);
  if (status.ok() && pending.snapshot.has_value()) status = journal_->WriteSnapshot(*pending.snapshot);
  if (!status.ok()) {
    options_.on_failure(status);
    absl::MutexLock lock(&mutex_);
    failed_ = true;
    return false;
  }
  options_.on_flush_time(RealClock().Monotonic() - begin);
  return true;
}

void Store::Write() {
  const auto due = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return !pending_.entries.empty() || closing_; };
  const auto full = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return pending_.entries.size() >= options_.group_size || closing_;
  };
  while (true) {
    Pending group;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&due));
      if (pending_.entries.empty()) return;
      mutex_.AwaitWithTimeout(absl::Condition(&full), options_.group_delay);
      std::swap(group, pending_);
    }
    if (!WriteGroup(group)) return;
    const uint64_t last = group.entries.back().sequence;
    {
      absl::MutexLock lock(&mutex_);
      durable_ = last;
    }
    options_.on_durable(last);
  }
}

}  // namespace muster
