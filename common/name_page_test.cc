#include "common/name_page.h"

#include <gtest/gtest.h>

#include <set>

namespace muster {
namespace {

const std::set<std::string> kNames = {"a", "b", "c", "d", "e"};

// The names of one page, and the token of the next.
struct Request {
  uint32_t size = 0;
  std::string token;
  uint32_t page_size() const { return size; }
  const std::string& page_token() const { return token; }
};
std::pair<std::string, std::string> PageOf(uint32_t size, const std::string& token, size_t bytes = 1,
                                           const std::string& left_out = "", bool all = false) {
  std::string names;
  const auto next = FillPage(Request{size, token}, kNames, [](const std::string& name) { return name; },
                             [&](const std::string& name) -> size_t {
                               if (name == left_out) return 0;
                               names += name;
                               return bytes;
                             },
                             all);
  return {names, next.value()};
}

TEST(NamePage, PagesHoldEveryNameOnce) {
  const auto [first, token] = PageOf(2, "");
  EXPECT_EQ(first, "ab");
  const auto [second, last_token] = PageOf(2, token);
  EXPECT_EQ(second, "cd");
  EXPECT_EQ(PageOf(2, last_token), std::pair(std::string("e"), std::string()));
  EXPECT_EQ(PageOf(0, ""), std::pair(std::string("abcde"), std::string()));
}

TEST(NamePage, IsFullAtItsBytes) {
  EXPECT_EQ(PageOf(0, "", kPageBytes).first, "a") << "one item of any size";
  EXPECT_EQ(PageOf(0, "", kPageBytes / 2).first, "ab");
}

TEST(NamePage, WhatIsLeftOutDoesNotCount) {
  const auto [first, token] = PageOf(2, "", 1, "b");
  EXPECT_EQ(first, "ac");
  EXPECT_EQ(PageOf(2, token, 1, "b"), std::pair(std::string("de"), std::string()));
  EXPECT_EQ(PageOf(2, token, 1, "e"), std::pair(std::string("d"), std::string()));
}

TEST(NamePage, HasAllWhereItIsAskedForAll) { EXPECT_EQ(PageOf(2, "", kPageBytes, "", true).first, "abcde"); }

TEST(NamePage, RefusesATokenOfSomethingElse) {
  EXPECT_TRUE(absl::IsInvalidArgument(NamePage::Create(0, "17").status()));
}

}  // namespace
}  // namespace muster
