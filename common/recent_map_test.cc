#include "common/recent_map.h"

#include <gtest/gtest.h>

#include <string>

namespace muster {
namespace {

TEST(RecentMap, ForgetsTheOldestAlone) {
  RecentMap<std::string, int> map(3);
  for (int i = 0; i < 5; ++i) map.Insert(std::to_string(i), i);
  EXPECT_EQ(map.size(), 3u);
  EXPECT_EQ(map.Find("1"), nullptr);
  for (int i = 2; i < 5; ++i) {
    ASSERT_NE(map.Find(std::to_string(i)), nullptr) << i;
    EXPECT_EQ(*map.Find(std::to_string(i)), i);
  }
}

TEST(RecentMap, AKeyThatComesAgainForgetsNothing) {
  RecentMap<std::string, int> map(2);
  map.Insert("a", 1);
  map.Insert("b", 2);
  map.Insert("a", 3);
  EXPECT_EQ(*map.Find("a"), 3);
  EXPECT_EQ(*map.Find("b"), 2);
}

}  // namespace
}  // namespace muster
