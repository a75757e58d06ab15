#include "coordinator/data/tokenize/pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "common/random.h"
#include "coordinator/data/tokenize/utf8.h"
#include "coordinator/data/tokenize/word_patterns.h"

namespace muster {
namespace {

std::vector<std::string> Matches(const Pattern& pattern, std::string_view text) {
  std::vector<std::string> matches;
  pattern.ForEachMatch(text, [&](size_t begin, size_t end) { matches.emplace_back(text.substr(begin, end - begin)); });
  return matches;
}

std::string RandomText(CounterRandom& random) {
  constexpr const char* kParts[] = {" ",          "  ",         "\n",      "\r\n",   "\t",         "'s",     "'S",
                                    "'ll",        "'LL",        "'\u017F", "'",      "a",          "bc",     "Z",
                                    "\u00E9",     "\u4E2D",     "1",       "234",    "\u0663",     "\u00BD", ".",
                                    "-",          "!?",         "\u00A0",  "\u2028", "\U0001F600", "\u0301", "\u0085",
                                    "\U00010D40", "\U0001E5D0", "\u1C89",  "_",      "\x01"};
  std::string text;
  for (uint64_t i = random.Below(12); i > 0; --i) text += kParts[random.Below(std::size(kParts))];
  return text;
}

TEST(Pattern, WordsByHandAreTheRegularExpressions) {
  for (const std::string regex : {kGpt2Pattern, kQwen2Pattern, kCl100kPattern}) {
    const auto words = WordPattern(regex);
    ASSERT_NE(words, nullptr) << regex;
    const auto icu = IcuPattern(regex);
    ASSERT_TRUE(icu.ok()) << icu.status();
    CounterRandom random(17);
    for (int i = 0; i < 20000; ++i) {
      const std::string text = RandomText(random);
      ASSERT_EQ(Matches(*words, text), Matches(**icu, text)) << "seed 17, text " << i << " of " << regex;
    }
  }
}

TEST(Pattern, RefusesWhatIcuReadsInAnotherWay) {
  for (const char* regex : {R"(\h+)", "^a", "a$", "[a--b]", R"(\bword)", "(", "a|"}) {
    EXPECT_FALSE(RegexPattern(regex).ok()) << regex;
  }
  for (const char* regex : {"[^a]", R"(\$)", R"(\w+|[^\w\s])", R"(\p{Lu}\p{Ll}*)"}) {
    EXPECT_TRUE(RegexPattern(regex).ok()) << regex;
  }
}

}  // namespace
}  // namespace muster
