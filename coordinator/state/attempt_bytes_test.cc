// Measures how many bytes one attempt writes to the journal, by the number of its ranks.
#include <gtest/gtest.h>

#include <filesystem>
#include <iostream>

#include "common/files.h"
#include "coordinator/state/store.h"
#include "coordinator/state/testing/gang_life.h"

namespace muster {
namespace {

struct Bytes {
  double entries = 0;  // per rank and attempt
  Store::Written all;  // from the first attempt on
};

// Measures `attempts` attempts, after `before` others.
Bytes BytesOf(uint32_t ranks, int before, int attempts) {
  const auto folder = MakeScratchFolder(std::filesystem::temp_directory_path(), "attempt-bytes");
  EXPECT_TRUE(folder.ok()) << folder.status();
  Bytes bytes;
  {
    Store::Options options;
    options.folder = *folder;
    options.least_entries = 100;
    const auto store = Store::Open(options);
    EXPECT_TRUE(store.ok()) << store.status();
    GangLife life(**store, ranks);
    for (int i = 0; i < before; ++i) life.FailOneAttempt();
    const uint64_t start = (*store)->written().entries;
    for (int i = 0; i < attempts; ++i) life.FailOneAttempt();
    bytes.entries = static_cast<double>((*store)->written().entries - start) / ranks / attempts;
    EXPECT_EQ(life.job().last_attempt(), static_cast<uint32_t>(before + attempts + 1));
    life.Succeed();
    EXPECT_EQ(life.job().job().phase(), muster::v1::JOB_PHASE_SUCCEEDED);
    bytes.all = (*store)->written();
  }
  std::filesystem::remove_all(*folder);
  std::cout << ranks << " ranks: " << bytes.entries << " bytes of records per rank and attempt, "
            << static_cast<double>(bytes.all.items) / bytes.all.entries << " bytes of rows per byte of records\n";
  return bytes;
}

TEST(AttemptBytes, AreLinearInTheRanks) {
  const Bytes narrow = BytesOf(8, /*before=*/2, /*attempts=*/2);
  for (const uint32_t ranks : {64, 512}) EXPECT_LT(BytesOf(ranks, 2, 2).entries, 1.1 * narrow.entries);
}

TEST(AttemptBytes, DoNotGrowWithTheAttemptsBefore) {
  EXPECT_LT(BytesOf(16, /*before=*/102, /*attempts=*/5).entries, 1.1 * BytesOf(16, /*before=*/2, /*attempts=*/5).entries);
}

// The written rows are bounded, too: by twice the bytes of the records.
TEST(AttemptBytes, RowsAreAtMostTwiceTheRecords) {
  for (const uint32_t ranks : {8, 64}) {
    const Bytes bytes = BytesOf(ranks, 20, 1);
    EXPECT_GT(bytes.all.items, 0u);
    EXPECT_LT(bytes.all.items, 2 * bytes.all.entries);
  }
}

}  // namespace
}  // namespace muster
