#include "coordinator/data/tokenize/token_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "coordinator/data/plan/plan_test_data.h"
#include "coordinator/data/tokenize/tokenizer_json.h"

namespace muster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;

class TokenStoreTest : public testing::Test {
 protected:
  TokenStoreTest() : folder_(*MakeScratchFolder(std::filesystem::temp_directory_path(), "token-store")) {}
  ~TokenStoreTest() override { std::filesystem::remove_all(folder_); }

  std::vector<std::filesystem::path> Files() const {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) files.push_back(entry.path());
    return files;
  }

  const std::filesystem::path folder_;
};

TEST_F(TokenStoreTest, HoldsEveryTextsIds) {
  const auto dataset = RandomDataset(17, 500, 20000);  // more than one round of the builder
  const auto tokenizer = TestTokenizer();
  std::vector<double> progress;
  const auto store =
      TokenStore::OpenOrBuild(*dataset, tokenizer, {}, folder_, [&](double share) { progress.push_back(share); });
  ASSERT_TRUE(store.ok()) << store.status();
  ASSERT_EQ((*store)->queries(), dataset->queries());
  ASSERT_EQ((*store)->passages(), dataset->passages());
  for (uint32_t query = 0; query < dataset->queries(); ++query) {
    std::vector<uint32_t> ids;
    ASSERT_TRUE(tokenizer->Encode(dataset->query_text(query), ids).ok());
    ASSERT_EQ((*store)->Query(query), ids);
    ASSERT_EQ((*store)->QueryLength(query), ids.size());
  }
  for (uint32_t passage = 0; passage < dataset->passages(); ++passage) {
    std::vector<uint32_t> ids;
    ASSERT_TRUE(tokenizer->Encode(PassageText(dataset->title(passage), dataset->body(passage)), ids).ok());
    ASSERT_EQ((*store)->Passage(passage), ids);
    ASSERT_EQ((*store)->PassageLength(passage), ids.size());
  }
  EXPECT_TRUE(std::ranges::is_sorted(progress));
  EXPECT_EQ(progress.back(), 1);
  EXPECT_EQ(Files().size(), 1) << "nothing is left aside";
}

TEST_F(TokenStoreTest, NamesTheTextThatCannotBeEncoded) {
  const auto tokenizer = TokenizerOfJson(nlohmann::json::parse(R"({
    "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(?:xx|x)+y"}, "behavior": "Isolated", "invert": false},
    "model": {"type": "BPE", "vocab": {"x": 0, "y": 1}, "merges": []}})"));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const std::string hostile(2'000'000, 'x');
  FakeDataset in_query, in_document;
  in_query.Query("xxy");
  in_query.Query(hostile);
  in_document.Query("xxy");
  in_document.Document("short", "xy");
  in_document.Document("long", hostile);
  const auto error = [&](const Dataset& dataset) {
    return std::string(TokenStore::OpenOrBuild(dataset, *tokenizer, {}, folder_, {}).status().message());
  };
  EXPECT_THAT(error(in_query), StartsWith("query \"" + std::string(in_query.query_id(1)) + "\": the pattern \"(?:xx|x)+y\""));
  EXPECT_THAT(error(in_document), StartsWith("document \"long\": the pattern"));
  EXPECT_THAT(Files(), IsEmpty());
}

TEST_F(TokenStoreTest, CopiesTheBeginningOfARangeInEitherWidth) {
  FakeDataset dataset;
  dataset.Query("w0 w1 w2");
  dataset.Document("a", "w4", "w3");
  dataset.Document("b", "");
  const auto store = *TokenStore::OpenOrBuild(dataset, TestTokenizer(), {}, folder_, {});
  ASSERT_TRUE(store->narrow());
  TokenStore::Range query = store->QueryRange(0);
  query.count = 2;
  uint32_t wide[5] = {};
  EXPECT_EQ(store->Copy(store->PassageRange(0), store->Copy(query, wide)), wide + 4);
  EXPECT_THAT(wide, ElementsAre(4, 5, 7, 8, 0));
  uint16_t narrow[5] = {};
  EXPECT_EQ(store->Copy(store->PassageRange(0), store->Copy(query, narrow)), narrow + 4);
  EXPECT_THAT(narrow, ElementsAre(4, 5, 7, 8, 0));
  EXPECT_THAT(store->Passage(1), IsEmpty());
}

TEST_F(TokenStoreTest, IsMadeOnceAndAgainWhenBroken) {
  const auto dataset = RandomDataset(17, 10, 10);
  int built = 0;
  const auto open = [&] {
    return TokenStore::OpenOrBuild(*dataset, TestTokenizer(), {}, folder_, [&](double) { ++built; });
  };
  const auto expected = (*open())->Passage(3);
  EXPECT_EQ(built, 1);
  EXPECT_EQ((*open())->Passage(3), expected);
  EXPECT_EQ(built, 1);
  ASSERT_EQ(Files().size(), 1);
  std::filesystem::resize_file(Files()[0], std::filesystem::file_size(Files()[0]) - 1);
  EXPECT_EQ((*open())->Passage(3), expected);
  EXPECT_EQ(built, 2);
}

TEST_F(TokenStoreTest, HoldsLargeVocabulariesInThirtyTwoBits) {
  std::string vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n";
  for (int i = 0; i < 70000; ++i) vocabulary += "w" + std::to_string(i) + "\n";
  FakeDataset dataset;
  dataset.Query("w69999 w1");
  const auto store =
      *TokenStore::OpenOrBuild(dataset, *TokenizerOfVocabulary(vocabulary, true), {}, folder_, {});
  EXPECT_THAT(store->Query(0), ElementsAre(70003, 5));
}

TEST_F(TokenStoreTest, SaysWhereItCannotWrite) {
  const auto dataset = RandomDataset(17, 10, 10);
  ASSERT_TRUE(WriteFileAtomically(folder_ / "file", "").ok());
  const auto store = TokenStore::OpenOrBuild(*dataset, TestTokenizer(), {}, folder_ / "file", {});
  EXPECT_THAT(std::string(store.status().message()), testing::HasSubstr((folder_ / "file").string()));
}

}  // namespace
}  // namespace muster
