#include "coordinator/data/store/normalize.h"

#include <gtest/gtest.h>

namespace muster {
namespace {

TEST(NormalizeText, TrimsAndCollapsesWhiteSpaceOfAnyScript) {
  EXPECT_EQ(NormalizeText("  a\t\r\n b  "), "a b");
  EXPECT_EQ(NormalizeText("\u00a0a\u2003\u3000b\u0085"), "a b");
  EXPECT_EQ(NormalizeText(" \n "), "");
}

TEST(NormalizeText, ComposesAccents) { EXPECT_EQ(NormalizeText("Cafe\u0301"), "Caf\u00e9"); }

TEST(NormalizeText, KeepsCaseAndPunctuation) { EXPECT_EQ(NormalizeText("Mr. X?"), "Mr. X?"); }

TEST(DigestOfPassage, IsEqualForEqualNormalFormsOnly) {
  EXPECT_EQ(DigestOfPassage("T", "a  b"), DigestOfPassage(" T", "a b\n"));
  EXPECT_NE(DigestOfPassage("T", "a b"), DigestOfPassage("", "T a b"));
  EXPECT_NE(DigestOfPassage("ab", "c"), DigestOfPassage("a", "bc"));
}

TEST(DigestOfPassage, SeesWhiteSpaceAnywhere) {
  for (size_t size = 1; size < 40; ++size) {
    for (size_t at = 0; at < size; ++at) {
      for (const std::string odd : {"  ", "\t", "\n", "\u00a0", " \x7f", "! ", "\x01"}) {
        std::string text(size, 'x');
        text.insert(at, odd);
        EXPECT_EQ(DigestOfPassage("", text), DigestOfPassage("", NormalizeText(text))) << text;
      }
    }
  }
}

TEST(FirstInvalidUtf8, NamesTheByte) {
  EXPECT_EQ(FirstInvalidUtf8("caf\u00e9"), std::string_view::npos);
  EXPECT_EQ(FirstInvalidUtf8("ab\xff"), 2u);
  EXPECT_EQ(FirstInvalidUtf8("ab\xc3"), 2u);
}

}  // namespace
}  // namespace muster
