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
  EXPECT_TRUE(pattern.ForEachMatch(text, [&](size_t begin, size_t end) {
    matches.emplace_back(text.substr(begin, end - begin));
  }).ok());
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

TEST(Pattern, HandWrittenSplittersEqualTheRegularExpressions) {
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

TEST(Pattern, ARepeatedCharacterByHandIsTheRegularExpression) {
  for (const std::string regex : {" {2,}", "a+", "\u00E9{1,}", "\u4E2D{3,}", "-{2,}"}) {
    const auto by_hand = RegexPattern(regex), icu = IcuPattern(regex);
    ASSERT_TRUE(by_hand.ok() && icu.ok()) << regex;
    CounterRandom random(17);
    for (int i = 0; i < 5000; ++i) {
      const std::string text = RandomText(random) + std::string(random.Below(3), '-') + RandomText(random);
      ASSERT_EQ(Matches(**by_hand, text), Matches(**icu, text)) << "seed 17, text " << i << " of " << regex;
    }
  }
}

TEST(Pattern, ThatExceedsTheLimitsOfIcuIsAnErrorWithItsPlace) {
  const auto slow = RegexPattern("(?:x+x+)+y");  // takes time in 2^n
  const auto deep = RegexPattern("(?:ab|a|b)+c");  // a frame per character
  ASSERT_TRUE(slow.ok() && deep.ok());
  const auto error = [](const Pattern& pattern, const std::string& text) {
    return std::string(pattern.ForEachMatch(text, [](size_t, size_t) {}).message());
  };
  EXPECT_EQ(error(**slow, "xxy " + std::string(100, 'x')),
            "the pattern \"(?:x+x+)+y\" of tokenizer.json exceeds the limits of regular expressions behind byte 3 "
            "(U_REGEX_TIME_OUT). Shorten the text, or simplify the pattern.");
  std::string many;
  for (int i = 0; i < 1'000'000; ++i) many += "ab";
  EXPECT_THAT(error(**deep, many), testing::HasSubstr("behind byte 0 (U_REGEX_STACK_OVERFLOW)"));
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
