#include "coordinator/state/item_schedule.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "absl/strings/str_cat.h"

namespace muster {
namespace {

std::optional<std::string> NextOfSize(ItemSchedule& schedule, uint64_t bytes) {
  return schedule.Next([&](const std::string&) { return bytes; });
}

TEST(ItemSchedule, LeavesAFewEntriesInTheJournal) {
  ItemSchedule schedule(/*least=*/3);
  for (uint64_t sequence = 1; sequence <= 3; ++sequence) {
    schedule.NoteEntry(absl::StrCat("key", sequence), sequence, 100);
    EXPECT_EQ(NextOfSize(schedule, 1), std::nullopt) << sequence;
  }
  schedule.NoteEntry("key4", 4, 100);
  EXPECT_EQ(NextOfSize(schedule, 1), "key1");
  EXPECT_EQ(schedule.covered(), 1u);
  EXPECT_EQ(NextOfSize(schedule, 1), std::nullopt);
}

TEST(ItemSchedule, TheOldestChangeComesFirstWhateverChangedSince) {
  ItemSchedule schedule(0);
  schedule.NoteEntry("a", 1, 100);
  schedule.NoteEntry("b", 2, 100);
  schedule.NoteEntry("a", 3, 100);
  EXPECT_EQ(NextOfSize(schedule, 1), "a");
  EXPECT_EQ(schedule.covered(), 1u) << "b's entry is in no item";
  EXPECT_EQ(NextOfSize(schedule, 1), "b");
  EXPECT_EQ(schedule.covered(), 3u);
  EXPECT_EQ(NextOfSize(schedule, 1), std::nullopt) << "nothing has changed";
}

TEST(ItemSchedule, ALargeItemWaitsUntilEntriesHavePaidForIt) {
  ItemSchedule schedule(0);
  uint64_t entries = 0;
  do {
    schedule.NoteEntry("large", ++entries, 100);
  } while (!NextOfSize(schedule, 10000).has_value());
  EXPECT_GT(entries, 30u);
  EXPECT_LT(entries, 100u);
}

// Whatever changes: items cost at most a few times the entries, and the entries that wait are bounded by the items.
TEST(ItemSchedule, BoundsBothWhatIsWrittenAndWhatIsReplayed) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    std::mt19937 draw(seed);
    std::map<std::string, uint64_t> sizes;
    uint64_t all_items = 0;
    for (int i = 0; i < 50; ++i) all_items += sizes[absl::StrCat("key", i)] = 100 + draw() % 20000;
    ItemSchedule schedule(10);
    uint64_t entries = 0, items = 0;
    for (uint64_t sequence = 1; sequence <= 50000; ++sequence) {
      const uint64_t bytes = 20 + draw() % 100;
      // A few items change all the time, the others rarely.
      schedule.NoteEntry(absl::StrCat("key", draw() % 10 == 0 ? draw() % 50 : draw() % 3), sequence, bytes);
      entries += bytes;
      while (const auto key = schedule.Next([&](const std::string& next) { return sizes.at(next); })) items += sizes.at(*key);
      ASSERT_LE(items, 2 * entries);
      ASSERT_LE((sequence - schedule.covered()) * 20, 2 * all_items) << "entries wait at " << sequence;
    }
  }
}

}  // namespace
}  // namespace muster
