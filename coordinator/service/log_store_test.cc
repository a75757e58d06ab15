#include "coordinator/service/log_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/files.h"

namespace muster {
namespace {

class LogStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    auto folder = MakeScratchFolder(std::filesystem::temp_directory_path(), "logs");
    ASSERT_TRUE(folder.ok()) << folder.status();
    folder_ = *folder;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_;
};

TEST_F(LogStoreTest, ReadsWholeLinesFromWhereTheReaderIs) {
  LogStore logs(folder_);
  ASSERT_TRUE(logs.Append("a", 1, 0, "one\ntwo\nthr").ok());
  const auto files = logs.List("a");
  ASSERT_EQ(files.size(), 1);
  EXPECT_EQ(*logs.Read("a", files[0], 0, false), "one\ntwo\n");
  EXPECT_EQ(*logs.Read("a", files[0], 8, false), "");
  EXPECT_EQ(*logs.Read("a", files[0], 8, true), "thr");
}

TEST_F(LogStoreTest, ListsByAttemptThenRank) {
  LogStore logs(folder_);
  for (const auto& [attempt, rank] : {std::pair{2, 0}, {1, 10}, {1, 2}}) {
    ASSERT_TRUE(logs.Append("a", attempt, rank, "x\n").ok());
  }
  std::vector<std::pair<uint32_t, uint32_t>> order;
  for (const LogStore::File& file : logs.List("a")) order.push_back({file.attempt, file.rank});
  EXPECT_THAT(order, testing::ElementsAre(std::pair(1, 2), std::pair(1, 10), std::pair(2, 0)));
}

TEST_F(LogStoreTest, StopsAtTheLimitAndSaysSo) {
  LogStore logs(folder_, 10);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(logs.Append("a", 1, 0, "12345\n").ok());
  const std::string text = *logs.Read("a", logs.List("a")[0], 0, true);
  EXPECT_THAT(text, testing::StartsWith("12345\n12345\n[muster] this log is full"));
  EXPECT_THAT(text, testing::EndsWith("left out\n"));
}

TEST_F(LogStoreTest, LeavesOutWhatComesWhileTheDiskIsFullAndSaysSo) {
  bool room = true;
  LogStore logs(folder_, LogStore::kMaxFile, [&room] { return room; });
  ASSERT_TRUE(logs.Append("a", 1, 0, "before\n").ok());
  room = false;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(logs.Append("a", 1, 0, "12345\n").ok());
  EXPECT_EQ(*logs.Read("a", logs.List("a")[0], 0, true), "before\n");
  room = true;
  for (const char* text : {"after\n", "later\n"}) ASSERT_TRUE(logs.Append("a", 1, 0, text).ok());
  EXPECT_EQ(*logs.Read("a", logs.List("a")[0], 0, true),
            "before\n[muster] 18 bytes were left out here: the coordinator's disk was full\nafter\nlater\n");
}

TEST_F(LogStoreTest, ForgetsAJobThatIsRemoved) {
  bool room = true;
  LogStore logs(folder_, LogStore::kMaxFile, [&room] { return room; });
  for (const char* id : {"a", "b"}) ASSERT_TRUE(logs.Append(id, 1, 0, "before\n").ok());
  EXPECT_THAT(logs.Jobs(), testing::ElementsAre("a", "b"));
  EXPECT_EQ(logs.BytesOf("a"), 7u);
  room = false;
  for (const char* id : {"a", "b"}) ASSERT_TRUE(logs.Append(id, 1, 0, "12345\n").ok());
  ASSERT_TRUE(logs.Remove("a").ok());
  EXPECT_THAT(logs.Jobs(), testing::ElementsAre("b"));
  room = true;
  for (const char* id : {"a", "b"}) ASSERT_TRUE(logs.Append(id, 1, 0, "after\n").ok());
  EXPECT_EQ(*logs.Read("a", logs.List("a")[0], 0, true), "after\n") << "nothing was left out of the new file";
  EXPECT_THAT(*logs.Read("b", logs.List("b")[0], 0, true), testing::HasSubstr("6 bytes were left out here"));
}

TEST_F(LogStoreTest, WaitsForWhatWasAnnouncedBeforeAndNoLonger) {
  LogStore logs(folder_);
  logs.Announce();
  logs.Announce();
  const uint64_t announced = logs.announced();
  logs.Announce();
  logs.Settle();
  EXPECT_FALSE(logs.WaitUntilSettled(announced, absl::Milliseconds(1)));
  logs.Settle();
  EXPECT_TRUE(logs.WaitUntilSettled(announced, absl::Hours(1)));
}

TEST_F(LogStoreTest, OpensNoPathOfAClient) {
  LogStore logs(folder_);
  EXPECT_FALSE(logs.Append("../a", 1, 0, "x").ok());
  EXPECT_TRUE(logs.List("../..").empty());
}

TEST_F(LogStoreTest, WakesFollowersOfTheJobAlone) {
  LogStore logs(folder_);
  JobFollower of_a(logs.followers(), "a"), of_b(logs.followers(), "b");
  ASSERT_TRUE(logs.Append("a", 1, 0, "x\n").ok());
  EXPECT_EQ(of_a.WaitForMore(0, absl::Hours(1)), 1);
  EXPECT_EQ(of_b.WaitForMore(0, absl::ZeroDuration()), 0) << "of another job";
  logs.Stop();
  EXPECT_EQ(of_a.WaitForMore(1, absl::Hours(1)), 1);
}

}  // namespace
}  // namespace muster
