#include "coordinator/state/store.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
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
#include "coordinator/core/job_change.h"
#include "coordinator/core/restore.h"

namespace muster {
namespace {

constexpr absl::Duration kSpaceRetry = absl::Milliseconds(200);

}  // namespace

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

absl::Status Store::CannotRead(absl::string_view what) const {
  return absl::DataLossError(absl::StrCat((options_.folder / "coordinator.db").string(), ": ", what,
                                          " cannot be read. Restore the folder's backup."));
}

absl::Status Store::Replay() {
  if (journal_->format() < kFirstFormatWithItems) return ReplayFormer();
  std::map<std::string, uint64_t> has;  // key → the last entry that its item contains
  ASSIGN_OR_RETURN(const std::vector<JournalItem> items, journal_->LoadItems());
  for (const JournalItem& item : items) {
    Record record;
    if (!record.ParseFromString(item.bytes)) return CannotRead(absl::StrCat("item ", item.key));
    RETURN_IF_ERROR(WithContext(Apply(record, state_), "replay"));
    state_.jobs.Settle();
    has[item.key] = item.sequence;
    committed_ = std::max(committed_, item.sequence);
  }
  ASSIGN_OR_RETURN(const std::vector<JournalEntry> entries, journal_->LoadEntries(0));
  std::vector<Record> records;
  for (const JournalEntry& entry : entries) {
    if (!records.emplace_back().ParseFromString(entry.bytes)) return CannotRead(absl::StrCat("record ", entry.sequence));
    // Its item may have been removed already. Changes of a job before its removal are irrelevant.
    if (!records.back().has_removed()) continue;
    uint64_t& known = has[KeyOf(records.back())];
    known = std::max(known, entry.sequence - 1);
  }
  for (size_t i = 0; i < entries.size(); ++i) {
    committed_ = std::max(committed_, entries[i].sequence);
    const std::string key = KeyOf(records[i]);
    const auto known = has.find(key);
    if (known != has.end() && entries[i].sequence <= known->second) continue;
    RETURN_IF_ERROR(WithContext(Apply(records[i], state_), "replay"));
    state_.jobs.Settle();
    schedule_.NoteEntry(key, entries[i].sequence, entries[i].bytes.size());
  }
  RETURN_IF_ERROR(CheckState(state_));
  absl::MutexLock lock(&mutex_);
  durable_ = queued_ = committed_;
  return absl::OkStatus();
}

// A former format: a snapshot, and records that each replace the previous one of their key. Converts everything to items.
absl::Status Store::ReplayFormer() {
  ASSIGN_OR_RETURN(const JournalSnapshot snapshot, journal_->LoadFormerSnapshot());
  if (!snapshot.bytes.empty()) {
    ASSIGN_OR_RETURN(state_, StateFromFormerSnapshot(snapshot.bytes));
  }
  committed_ = snapshot.sequence;
  ASSIGN_OR_RETURN(const std::vector<JournalEntry> entries, journal_->LoadEntries(snapshot.sequence));
  for (const JournalEntry& entry : entries) {
    Record record;
    if (!record.ParseFromString(entry.bytes)) return CannotRead(absl::StrCat("record ", entry.sequence));
    if (record.has_job()) UpgradeFormerRecord(*record.mutable_job());
    RETURN_IF_ERROR(WithContext(Apply(record, state_), "replay"));
    committed_ = entry.sequence;
  }
  RETURN_IF_ERROR(CheckState(state_));
  std::vector<JournalItem> items;
  for (const Record& record : RecordsOf(state_)) items.push_back({KeyOf(record), committed_, DeterministicBytes(record)});
  RETURN_IF_ERROR(journal_->Upgrade(items));
  absl::MutexLock lock(&mutex_);
  durable_ = queued_ = committed_;
  return absl::OkStatus();
}

uint64_t Store::Commit(std::vector<Record> records) {
  std::vector<JournalEntry> entries;
  for (Record& each : records) {
    const Record record = SmallestRecord(std::move(each), state_);
    const absl::Status applied = Apply(record, state_);
    if (!applied.ok()) {
      options_.on_failure(applied);
      return committed_;
    }
    entries.push_back({++committed_, DeterministicBytes(record)});
    const uint64_t bytes = entries.back().bytes.size();
    written_.entries += bytes;
    schedule_.NoteEntry(KeyOf(record), committed_, bytes);
  }
  std::vector<JournalItem> items = TakeDueItems();
  absl::MutexLock lock(&mutex_);
  for (JournalEntry& entry : entries) pending_.entries.push_back(std::move(entry));
  for (JournalItem& item : items) {
    std::string key = item.key;
    pending_.items.insert_or_assign(std::move(key), std::move(item));
  }
  pending_.covered = schedule_.covered();
  queued_ = committed_;
  return committed_;
}

std::vector<JournalItem> Store::TakeDueItems() {
  std::vector<JournalItem> items;
  std::optional<Record> record;  // a copy, so it is made once
  bool is_copied = false;
  const auto size = [&](const std::string& key) {
    record = RecordOfKey(key, state_);
    is_copied = true;
    return record.has_value() ? record->ByteSizeLong() : 0;
  };
  while (items.size() < options_.items_per_commit) {
    is_copied = false;
    const std::optional<std::string> key = schedule_.Next(size);
    if (!key.has_value()) break;
    if (!is_copied) record = RecordOfKey(*key, state_);  // an earlier commit already computed its size
    items.push_back({*key, committed_, record.has_value() ? DeterministicBytes(*record) : ""});
    written_.items += items.back().bytes.size();
  }
  return items;
}

uint64_t Store::Flush() {
  const auto done = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return durable_ >= queued_ || failed_; };
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(&done));
  return durable_;
}

bool Store::WriteGroup(Pending pending) {
  const absl::Duration begin = RealClock().Monotonic();
  std::vector<JournalItem> items;
  for (auto& [key, item] : pending.items) items.push_back(std::move(item));
  const auto write = [&] { return journal_->Write(pending.entries, items, pending.covered); };
  absl::Status status = write();
  if (absl::IsResourceExhausted(status)) status = WriteWhenThereIsSpace(write, std::move(status));
  if (!status.ok()) {
    options_.on_failure(status);
    absl::MutexLock lock(&mutex_);
    failed_ = true;
    return false;
  }
  options_.on_flush_time(RealClock().Monotonic() - begin);
  return true;
}

absl::Status Store::WriteWhenThereIsSpace(const std::function<absl::Status()>& write, absl::Status status) {
  spdlog::error("no space for the journal: changes wait until there is some. {}", std::string(status.message()));
  options_.on_full();
  const absl::Duration begin = RealClock().Monotonic();
  while (absl::IsResourceExhausted(status)) {
    {
      absl::MutexLock lock(&mutex_);
      if (mutex_.AwaitWithTimeout(absl::Condition(&closing_), kSpaceRetry)) return status;
    }
    status = write();
  }
  if (status.ok()) {
    spdlog::info("the journal has space again, after {} s", absl::ToInt64Seconds(RealClock().Monotonic() - begin));
  }
  return status;
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
    const uint64_t last = group.entries.back().sequence;
    if (!WriteGroup(std::move(group))) return;
    {
      absl::MutexLock lock(&mutex_);
      durable_ = last;
    }
    options_.on_durable(last);
  }
}

}  // namespace muster
