#include "coordinator/data/tokenize/vocab_txt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "common/files.h"
#include "test_paths.h"

namespace muster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::string SmallVocabulary() {
  return "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n##b\nun\n##aff\n##able\n,\n[\nmask\n]\n\xE4\xB8\xAD\nA\ne\n";
}
enum Id : uint32_t { kPad, kUnk, kCls, kSep, kMask, kA, kB, kBb, kUn, kAff, kAble, kComma, kOpen, kMaskWord, kClose,
                     kZhong, kUpperA, kE };

std::vector<uint32_t> Encode(std::string_view text, bool lower_case = true) {
  std::vector<uint32_t> ids;
  EXPECT_TRUE((*TokenizerOfVocabulary(SmallVocabulary(), lower_case))->Encode(text, ids).ok());
  return ids;
}

TEST(WordPiece, CutsTheLongestPiecesFromTheLeft) {
  EXPECT_THAT(Encode("unaffable"), ElementsAre(kUn, kAff, kAble));
  EXPECT_THAT(Encode("unaffables"), ElementsAre(kUnk)) << "one unknown piece makes the word unknown";
  EXPECT_THAT(Encode("ab"), ElementsAre(kA, kBb));
  EXPECT_THAT(Encode(" \t\n a \r\n"), ElementsAre(kA));
  EXPECT_THAT(Encode(""), IsEmpty());
}

TEST(WordPiece, SplitsAroundPunctuation) {
  EXPECT_THAT(Encode("a,b,,a"), ElementsAre(kA, kComma, kB, kComma, kComma, kA));
  EXPECT_THAT(Encode("a\xE2\x80\x94" "b"), ElementsAre(kA, kUnk, kB)) << "em dash";
}

TEST(WordPiece, DropsControlCharactersAndWhatIsNotUtf8) {
  EXPECT_THAT(Encode("a\xC2\x96" "b"), ElementsAre(kA, kBb)) << "U+0096";
  EXPECT_THAT(Encode("a\xEF\xBF\xBD" "b"), ElementsAre(kA, kBb)) << "U+FFFD";
  EXPECT_THAT(Encode("a\xC2\xAD" "b"), ElementsAre(kA, kBb)) << "U+00AD, soft hyphen";
  EXPECT_THAT(Encode("a\xE2\x80\x8B" "b"), ElementsAre(kA, kBb)) << "U+200B, zero width space";
  EXPECT_THAT(Encode("a\x01\x7F\x0B" "b"), ElementsAre(kA, kBb));
  EXPECT_THAT(Encode({"a\0b", 3}), ElementsAre(kA, kBb));
  EXPECT_THAT(Encode("a\xFF\xC3" "b\xE4\xB8"), ElementsAre(kA, kBb)) << "not UTF-8";
  EXPECT_THAT(Encode("a\xC2\xA0" "b\xE3\x80\x80" "b"), ElementsAre(kA, kB, kB)) << "U+00A0 and U+3000 are spaces";
}

TEST(WordPiece, SetsIdeographsApart) {
  EXPECT_THAT(Encode("a\xE4\xB8\xAD" "b"), ElementsAre(kA, kZhong, kB));
  EXPECT_THAT(Encode("\xE4\xB8\xAD\xE4\xB8\xAD"), ElementsAre(kZhong, kZhong));
}

TEST(WordPiece, StripsAccentsAndLowersUnlessCased) {
  EXPECT_THAT(Encode("\xC3\x89 \xC3\xA9 e\xCC\x81 A"), ElementsAre(kE, kE, kE, kA));
  EXPECT_THAT(Encode("\xC3\xA9 A a", false), ElementsAre(kUnk, kUpperA, kA));
}

TEST(WordPiece, WordsOfMoreThanAHundredCharactersAreUnknown) {
  const std::string hundred = "a" + std::string(99, 'b');
  EXPECT_EQ(Encode(hundred).size(), 100);
  EXPECT_THAT(Encode(hundred + "b"), ElementsAre(kUnk));
  std::string wide;  // 100 characters of 3 bytes; one word, which the vocabulary lacks
  for (int i = 0; i < 100; ++i) wide += "\xE1\x83\x90";
  EXPECT_THAT(Encode(wide), ElementsAre(kUnk));
}

TEST(WordPiece, MatchesSpecialTokensWrittenInTheText) {
  EXPECT_THAT(Encode("a[MASK]b [SEP]"), ElementsAre(kA, kMask, kB, kSep));
  EXPECT_THAT(Encode("[mask] [MASK"), ElementsAre(kOpen, kMaskWord, kClose, kOpen, kMaskWord));
  EXPECT_THAT(Encode("[[CLS]]"), ElementsAre(kOpen, kCls, kClose));
}

TEST(WordPiece, DigestTellsVocabulariesAndCaseApart) {
  const auto digest = [](const std::string& vocabulary, bool lower_case) {
    return (*TokenizerOfVocabulary(vocabulary, lower_case))->digest();
  };
  EXPECT_EQ(digest(SmallVocabulary(), true), digest(SmallVocabulary(), true));
  EXPECT_NE(digest(SmallVocabulary(), true), digest(SmallVocabulary(), false));
  EXPECT_NE(digest(SmallVocabulary(), true), digest(SmallVocabulary() + "c\n", true));
}

TEST(WordPiece, RefusesFilesThatAreNotVocabularies) {
  EXPECT_EQ(TokenizerOfVocabulary("[PAD]\n[UNK]\n[CLS]\n", true).status().message(),
            "vocab.txt: no entry [SEP]. Give the vocabulary of a BERT model.");
  EXPECT_FALSE(TokenizerOfVocabulary("[PAD]\n[UNK]\n[CLS]\n[SEP]\n\xFF\n", true).ok());
}

TEST(WordPiece, CountsTheLinesOfTheVocabulary) {
  const auto tokenizer = *TokenizerOfVocabulary("[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\nlast", true);
  EXPECT_EQ(tokenizer->vocabulary_size(), 5);
  EXPECT_EQ(tokenizer->pad(), 0);
  EXPECT_THAT(tokenizer->prefix(), ElementsAre(2));
  EXPECT_THAT(tokenizer->suffix(), ElementsAre(3));
}

// Expected ids: tokenizers 0.23.3, BertWordPieceTokenizer(vocab, lowercase=True), without special tokens.
TEST(WordPiece, GivesTheIdsOfHuggingFaceForBertsVocabulary) {
  const std::filesystem::path vocabulary = MUSTER_SOURCE_DIR "/../shared/data/bert-vocab/vocab.txt";
  if (!std::filesystem::exists(vocabulary)) {
    GTEST_SKIP() << "left out: comparison with Hugging Face's ids; " << vocabulary << " is absent";
  }
  const auto tokenizer = *TokenizerOfVocabulary(*ReadFile(vocabulary), true);
  EXPECT_EQ(tokenizer->vocabulary_size(), 30522);
  const struct {
    std::string_view text;
    std::vector<uint32_t> ids;
  } cases[] = {
#include "coordinator/data/tokenize/golden_ids.inc"
  };
  for (const auto& [text, expected] : cases) {
    std::vector<uint32_t> ids;
    EXPECT_TRUE(tokenizer->Encode(text, ids).ok());
    EXPECT_EQ(ids, expected) << text;
  }
}

}  // namespace
}  // namespace muster
