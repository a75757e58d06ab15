#include "common/name_page.h"

#include <gtest/gtest.h>

#include <set>

namespace muster {
namespace {

const std::set<std::string> kNames = {"a", "b", "c", "d", "e"};

// The names of one page, and the token of the next.
std::pair<std::string, std::string> PageOf(uint32_t size, const std::string& token, size_t bytes = 1) {
  NamePage page = *NamePage::Create(size, token);
  std::string names;
  for (auto name = kNames.upper_bound(page.after()); name != kNames.end(); ++name) {
    if (page.full()) return {names, page.next_token()};
    names += *name;
    page.Count(*name, bytes);
  }
  return {names, ""};
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

TEST(NamePage, RefusesATokenOfSomethingElse) {
  EXPECT_TRUE(absl::IsInvalidArgument(NamePage::Create(0, "17").status()));
}

}  // namespace
}  // namespace muster
