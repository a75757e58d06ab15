#include "worker/agent/core/relay.h"

#include <gtest/gtest.h>

namespace muster {
namespace {

const RankKey kRank0 = {{"j", 1}, 0}, kRank1 = {{"j", 1}, 1};

TEST(Relay, KeepsTheNewestProgressOnly) {
  Relay relay;
  muster::v1::Progress progress;
  progress.set_step(1);
  relay.AddProgress(kRank0.attempt, progress);
  progress.set_step(2);
  relay.AddProgress(kRank0.attempt, progress);
  const auto messages = relay.Take();
  ASSERT_EQ(messages.size(), 1);
  EXPECT_EQ(messages[0].progress().progress().step(), 2);
  EXPECT_TRUE(relay.empty());
}

TEST(Relay, JoinsLinesOfOneRankAndKeepsTheirOrder) {
  Relay relay(8, 1000);
  for (const char* line : {"a\n", "b\n", "c\n", "d\n", "e\n"}) relay.AddLog(kRank0, line);
  relay.AddLog(kRank1, "x\n");
  relay.AddLog(kRank0, "f\n");
  std::vector<std::string> texts;
  for (const auto& message : relay.Take()) texts.push_back(message.log().text());
  EXPECT_EQ(texts, (std::vector<std::string>{"a\nb\nc\nd\n", "e\n", "x\n", "f\n"}));
}

TEST(Relay, DropsTheOldestLinesAboveItsLimit) {
  Relay relay(10, 50);
  for (int i = 0; i < 100; ++i) relay.AddLog(kRank0, "12345678\n");
  size_t bytes = 0;
  for (const auto& message : relay.Take()) bytes += message.log().text().size();
  EXPECT_LE(bytes, 50);
  EXPECT_GE(bytes, 36);
}

}  // namespace
}  // namespace muster
