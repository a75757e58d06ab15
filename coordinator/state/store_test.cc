#include "coordinator/state/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/files.h"
#include "coordinator/core/testing/snapshot.h"

namespace muster {
namespace {

using testing::HasSubstr;

class StoreTest : public testing::Test {
 protected:
  void SetUp() override {
    auto folder = MakeScratchFolder(std::filesystem::temp_directory_path(), "store");
    ASSERT_TRUE(folder.ok()) << folder.status();
    folder_ = *folder;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Store::Options Options() {
    Store::Options options;
    options.folder = folder_;
    return options;
  }
  std::unique_ptr<Store> Open(Store::Options options) {
    auto store = Store::Open(std::move(options));
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }

  std::filesystem::path folder_;
};

Record JobNumber(uint64_t number) {
  JobRecord record;
  record.mutable_job()->set_id(absl::StrCat("j", number));
  record.mutable_job()->set_phase(muster::v1::JOB_PHASE_QUEUED);
  record.set_sequence(number);
  return RecordOf(record);
}

TEST_F(StoreTest, RaisesTheEpochAtEveryStart) {
  for (uint64_t epoch = 1; epoch <= 3; ++epoch) EXPECT_EQ(Open(Options())->state().epoch, epoch);
}

// Files cannot grow, as on a full volume.
class FullVolume {
 public:
  explicit FullVolume(const std::filesystem::path& folder) {
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    uint64_t largest = 0;
    for (const auto& file : std::filesystem::directory_iterator(folder)) largest = std::max<uint64_t>(largest, file.file_size());
    const rlimit full = {.rlim_cur = largest, .rlim_max = before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &full);
  }
  ~FullVolume() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_ = {};
};

TEST_F(StoreTest, WaitsForSpaceAndLosesNothing) {
  constexpr uint64_t kJobs = 200;  // more than fit in the files
  {
    absl::Notification full;
    Store::Options options = Options();
    options.on_full = [&full] { full.Notify(); };
    options.on_failure = [](const absl::Status& status) { FAIL() << status; };
    const auto store = Open(options);
    {
      const FullVolume volume(folder_);
      for (uint64_t job = 1; job <= kJobs; ++job) {
        Record record = JobNumber(job);
        record.mutable_job()->mutable_job()->set_reason(std::string(1000, 'x'));
        store->Commit({record});
      }
      full.WaitForNotification();
    }
    EXPECT_EQ(store->Flush(), store->committed());
  }
  EXPECT_EQ(Open(Options())->state().jobs.size(), kJobs);
}

TEST_F(StoreTest, AStopDoesNotWaitForSpace) {
  absl::Notification full;
  absl::Status failure;
  Store::Options options = Options();
  options.on_full = [&full] { full.Notify(); };
  options.on_failure = [&failure](const absl::Status& status) { failure = status; };
  auto store = Open(options);
  const FullVolume volume(folder_);
  Record record = JobNumber(1);
  record.mutable_job()->mutable_job()->set_reason(std::string(1 << 20, 'x'));
  store->Commit({record});
  full.WaitForNotification();
  store.reset();
  EXPECT_TRUE(absl::IsResourceExhausted(failure)) << failure;
}

TEST_F(StoreTest, RefusesASecondOwner) {
  const auto first = Open(Options());
  const auto second = Store::Open(Options());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("another coordinator has this folder"));
}

TEST_F(StoreTest, RefusesAStateThatIsNotWhole) {
  {
    Record broken = JobNumber(1);
    broken.mutable_job()->mutable_job()->set_phase(muster::v1::JOB_PHASE_TRAINING);  // without a running attempt
    const auto store = Open(Options());
    store->Commit({broken});
    store->Flush();
  }
  const auto again = Store::Open(Options());
  EXPECT_EQ(again.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(again.status().message()), HasSubstr("job \"j1\" is training, which does not fit its attempt"));
}

TEST_F(StoreTest, SeesWhatItCommittedAtOnce) {
  const auto store = Open(Options());
  store->Commit({JobNumber(1)});
  EXPECT_NE(FindJob(store->state(), "j1"), nullptr);
}

TEST_F(StoreTest, ReplaysTheSameBytesWithAndWithoutItems) {
  for (const uint64_t least : {0, 3, 1000}) {
    SetUp();
    Store::Options options = Options();
    options.least_entries = least;
    State expected;
    {
      const auto store = Open(options);
      for (uint64_t i = 1; i <= 20; ++i) store->Commit({JobNumber(i), JobNumber(i / 2 + 1)});
      expected = *Reloaded(store->state());
    }
    const auto store = Open(options);
    ++expected.epoch;
    EXPECT_EQ(SnapshotBytes(store->state()), SnapshotBytes(expected)) << least << " entries stay";
    EXPECT_EQ(store->state().jobs.size(), 20);
  }
}

// Runs SQL on the file of a store that is closed.
void Tamper(const std::filesystem::path& folder, const std::string& sql) {
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open((folder / "coordinator.db").c_str(), &database), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(database);
  sqlite3_close(database);
}

// Jobs change, come and go while items are written one at a time.
TEST_F(StoreTest, ItemsThatAreWrittenDuringCommitsReplayToTheSameState) {
  for (int commits = 1; commits <= 60; commits += 7) {
    std::filesystem::remove_all(folder_);
    Store::Options options = Options();
    options.least_entries = 5;
    options.items_per_commit = 1;
    State expected;
    {
      const auto store = Open(options);
      for (int i = 1; i <= commits; ++i) {
        Record changed = JobNumber(i);
        Record again = JobNumber(i / 2 + 1);
        again.mutable_job()->mutable_job()->set_reason(absl::StrCat("commit ", i));
        Record garbage, removed;
        garbage.mutable_garbage()->set_manifest(absl::StrCat("m", i % 5));
        garbage.mutable_garbage()->set_collected(i % 3 == 0);
        removed.mutable_removed()->set_id(absl::StrCat("j", i - 6));
        store->Commit({changed, again, garbage, removed});
        if (i % 4 == 0) store->Flush();
      }
      expected = *Reloaded(store->state());
    }
    ++expected.epoch;
    EXPECT_EQ(SnapshotBytes(Open(options)->state()), SnapshotBytes(expected)) << "after " << commits << " commits";
  }
}

// The number of rows in a table of a closed store.
int64_t Rows(const std::filesystem::path& folder, const std::string& table) {
  sqlite3* database = nullptr;
  EXPECT_EQ(sqlite3_open((folder / "coordinator.db").c_str(), &database), SQLITE_OK);
  sqlite3_stmt* select = nullptr;
  EXPECT_EQ(sqlite3_prepare_v2(database, ("SELECT count(*) FROM " + table).c_str(), -1, &select, nullptr), SQLITE_OK);
  EXPECT_EQ(sqlite3_step(select), SQLITE_ROW);
  const int64_t rows = sqlite3_column_int64(select, 0);
  sqlite3_finalize(select);
  sqlite3_close(database);
  return rows;
}

TEST_F(StoreTest, AJobThatIsKnownIsWrittenAsWhatChangedOfIt) {
  const auto store = Open(Options());
  Record job = JobNumber(1);
  job.mutable_job()->mutable_job()->mutable_spec()->set_name(std::string(10000, 'n'));
  store->Commit({job});
  const uint64_t whole = store->written().entries;
  EXPECT_GT(whole, 10000);
  job.mutable_job()->mutable_job()->set_revision(2);
  store->Commit({job});
  EXPECT_LT(store->written().entries - whole, 100);
  EXPECT_EQ(FindJob(store->state(), "j1")->job().revision(), 2u);
}

// Ten times as many records as before leave the same number of rows, so that a restart reads no more.
TEST_F(StoreTest, TheJournalDoesNotGrowWithHistory) {
  Store::Options options = Options();
  options.least_entries = 100;
  std::vector<int64_t> rows;
  for (const int commits : {2000, 20000}) {
    {
      const auto store = Open(options);
      for (int i = 0; i < commits; ++i) {
        Record job = JobNumber(i % 20 + 1);
        job.mutable_job()->mutable_job()->set_revision(i);
        store->Commit({job});
      }
    }
    rows.push_back(Rows(folder_, "journal"));
    EXPECT_EQ(Rows(folder_, "item"), 21) << "20 jobs and the epoch";
  }
  EXPECT_LE(rows[1], rows[0] + 50) << "after 2,000 commits: " << rows[0];
  EXPECT_LE(rows[0], 300);
}

TEST_F(StoreTest, RefusesAFormatOfANewerVersion) {
  Open(Options()).reset();
  Tamper(folder_, absl::StrCat("PRAGMA user_version=", kJournalFormat + 1));
  const absl::Status status = Store::Open(Options()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("written by a newer version (format 4; this version reads up to 3)"));
}

std::string Hex(const std::string& bytes) { return absl::BytesToHexString(bytes); }

// The snapshot and the later records in a file of a former format are converted to this version's form. Afterwards the
// file has this version's format, whether or not anything is committed.
TEST_F(StoreTest, UpgradesAFormerJournalOnce) {
  for (const int format : {1, 2}) {
    SetUp();
    State old;
    std::string sql = "CREATE TABLE journal(sequence INTEGER PRIMARY KEY, record BLOB NOT NULL);"
                      "CREATE TABLE snapshot(sequence INTEGER NOT NULL, state BLOB NOT NULL);";
    for (int number = 1; number <= 5; ++number) {
      Record record = JobNumber(number);
      record.mutable_job()->mutable_job()->mutable_spec()->set_name("old");  // its objective is 0, as jointlh was
      if (number <= 3) {
        ASSERT_TRUE(Apply(record, old).ok());
      } else {
        absl::StrAppend(&sql, "INSERT INTO journal VALUES(", number, ", x'", Hex(record.SerializeAsString()), "');");
      }
    }
    old.epoch = 7;
    absl::StrAppend(&sql, "INSERT INTO snapshot VALUES(3, x'", Hex(SnapshotBytes(old)), "');PRAGMA user_version=", format);
    Tamper(folder_, sql);
    for (int start = 0; start < 2; ++start) {
      const auto store = Open(Options());
      ASSERT_EQ(store->state().jobs.size(), 5u) << "format " << format;
      EXPECT_EQ(store->state().epoch, 8u + start);
      for (const auto& [id, record] : store->state().jobs) {
        EXPECT_EQ(record.job().spec().loss().objective(), muster::v1::OBJECTIVE_JOINTLH) << id << ", start " << start;
        EXPECT_EQ(record.job().spec().data().positives().choose(), muster::v1::CHOOSE_RANDOM) << id;
      }
    }
    const auto journal = Journal::Open(folder_ / "coordinator.db");
    ASSERT_TRUE(journal.ok()) << journal.status();
    EXPECT_EQ((*journal)->format(), kJournalFormat);
  }
}

// Field 15 of Record, with no content: a kind that a later version may add.
TEST_F(StoreTest, RefusesRecordsAndItemsOfKindsThatItDoesNotKnow) {
  Open(Options()).reset();
  Tamper(folder_, "INSERT INTO journal(sequence, record) VALUES(1000, x'7a00')");
  const absl::Status record = Store::Open(Options()).status();
  EXPECT_EQ(record.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(record.message()), HasSubstr("a journal record of an unknown kind"));
  Tamper(folder_, "DELETE FROM journal; INSERT INTO item(key, sequence, record) VALUES('new/1', 1000, x'7a00')");
  const absl::Status item = Store::Open(Options()).status();
  EXPECT_EQ(item.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(item.message()), HasSubstr("a journal record of an unknown kind"));
}

TEST_F(StoreTest, FlushesInGroupsAndSaysSo) {
  absl::Mutex mutex;
  uint64_t durable = 0;
  int flushes = 0;
  Store::Options options = Options();
  options.group_delay = absl::Milliseconds(20);
  options.on_durable = [&](uint64_t sequence) {
    absl::MutexLock lock(&mutex);
    EXPECT_GT(sequence, durable);
    durable = sequence;
    ++flushes;
  };
  const auto store = Open(options);
  uint64_t last = 0;
  for (uint64_t i = 1; i <= 1000; ++i) last = store->Commit({JobNumber(i)});
  store->Flush();
  const auto told = [&] { return durable == last; };
  absl::MutexLock lock(&mutex);
  EXPECT_TRUE(mutex.AwaitWithTimeout(absl::Condition(&told), absl::Seconds(5)));
  EXPECT_LT(flushes, 500);
}

// A child commits and prints the numbers that were reported as durable; it is killed in the middle.
TEST_F(StoreTest, LosesNothingAcknowledgedWhenKilled) {
  for (int round = 0; round < 3; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(pipe(pipe_ends), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      close(pipe_ends[0]);
      Store::Options options = Options();
      options.least_entries = 50;
      options.on_durable = [&](uint64_t sequence) {
        if (write(pipe_ends[1], &sequence, sizeof(sequence)) != sizeof(sequence)) _exit(1);
      };
      auto store = Store::Open(options);
      if (!store.ok()) _exit(1);
      const uint64_t base = (*store)->state().last_sequence;
      for (uint64_t i = 1;; ++i) {
        (*store)->Commit({JobNumber(base + i)});
        if (i % 16 == 0) (*store)->Flush();
      }
    }
    close(pipe_ends[1]);
    uint64_t acknowledged = 0, next = 0;
    for (int i = 0; i < 40 + round; ++i) {
      if (read(pipe_ends[0], &next, sizeof(next)) != sizeof(next)) break;
      acknowledged = next;
    }
    kill(child, SIGKILL);
    while (read(pipe_ends[0], &next, sizeof(next)) == sizeof(next)) acknowledged = next;
    close(pipe_ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    const auto store = Open(Options());
    ASSERT_NE(store, nullptr);
    // Every record is a different job, except for the epochs, one per start.
    const uint64_t epochs_before = store->state().epoch - 1;
    EXPECT_GE(store->state().jobs.size() + epochs_before, acknowledged) << "round " << round;
    EXPECT_EQ(store->state().jobs.size(), store->state().last_sequence) << "a hole in the journal, round " << round;
  }
}

// The machine stops in the middle of a write to the write-ahead log. Cut anywhere, it opens and has a prefix of the commits.
TEST_F(StoreTest, OpensWithATornWriteAheadLog) {
  const auto store = Open(Options());
  for (uint64_t i = 1; i <= 10; ++i) {
    store->Commit({JobNumber(i)});
    store->Flush();
  }
  const std::filesystem::path copy = folder_ / "copy";
  const uint64_t size = std::filesystem::file_size(folder_ / "coordinator.db-wal");
  size_t most = 0;
  for (uint64_t cut = 0; cut <= size; cut += size / 17 + 1) {
    std::filesystem::remove_all(copy);
    std::filesystem::create_directory(copy);
    std::filesystem::copy_file(folder_ / "coordinator.db", copy / "coordinator.db");
    std::filesystem::copy_file(folder_ / "coordinator.db-wal", copy / "coordinator.db-wal");
    std::filesystem::resize_file(copy / "coordinator.db-wal", cut);
    Store::Options options;
    options.folder = copy;
    const auto torn = Open(options);
    ASSERT_NE(torn, nullptr) << "cut at " << cut;
    EXPECT_EQ(torn->state().jobs.size(), torn->state().last_sequence) << "cut at " << cut;
    EXPECT_GE(torn->state().jobs.size(), most) << "cut at " << cut;
    most = torn->state().jobs.size();
  }
  EXPECT_GE(most, 8);
}

TEST_F(StoreTest, EndsTheProcessWhenAFlushFails) {
  EXPECT_EXIT(
      {
        Store::Options options = Options();
        auto store = Store::Open(options);
        // A second connection drops the table, so that the store's next append fails.
        sqlite3* database = nullptr;
        sqlite3_open((folder_ / "coordinator.db").c_str(), &database);
        sqlite3_exec(database, "DROP TABLE journal", nullptr, nullptr, nullptr);
        (*store)->Commit({JobNumber(1)});
        (*store)->Flush();
        _exit(0);
      },
      testing::ExitedWithCode(1), "");
}

}  // namespace
}  // namespace muster
