#include "coordinator/data/plan/sequences.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "coordinator/data/plan/plan_test_data.h"
#include "coordinator/data/tokenize/tokenizer_json.h"

namespace muster {
namespace {

using muster::internal::v1::MicroBatch;
using muster::v1::ResolvedJob;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Words of letters with the blank before them, as in byte-level tokenizers: "▁" is the blank.
// Ids: <s> 0, </s> 1, a 2, b 3, : 4, ▁ 5, ▁a 6, ▁b 7, "▁:" is two tokens.
std::shared_ptr<const Tokenizer> Bytes(const std::string& direction = "Right") {
  const auto file = nlohmann::json::parse(R"({
    "truncation": {"direction": ")" + direction + R"("}, "added_tokens": [],
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
    "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 1], "cls": ["<s>", 0]},
    "model": {"type": "BPE", "vocab": {"<s>": 0, "</s>": 1, "a": 2, "b": 3, ":": 4, "Ġ": 5, "Ġa": 6, "Ġb": 7},
              "merges": ["Ġ a", "Ġ b"]}})");
  return *TokenizerOfJson(file);
}

class SequencesTest : public testing::Test {
 protected:
  SequencesTest() : folder_(*MakeScratchFolder(std::filesystem::temp_directory_path(), "sequences")) {
    dataset_.Query("a b");
    dataset_.Document("d", "b b b b b b b b");
    model_.mutable_max_length()->set_query(8);
    model_.mutable_max_length()->set_passage(6);
  }
  ~SequencesTest() override { std::filesystem::remove_all(folder_); }

  MicroBatch BatchOf(const std::shared_ptr<const Tokenizer>& tokenizer) {
    tokens_ = *TokenStore::OpenOrBuild(dataset_, tokenizer, PromptsToJoin(*tokenizer, model_, resolved_), folder_, {});
    const auto sequences = Sequences::Create(*tokens_, model_, resolved_);
    EXPECT_TRUE(sequences.ok()) << sequences.status();
    MicroBatch batch;
    const uint32_t zero = 0, slots[] = {0, 1};
    sequences->FillMicroBatch({&zero, 1}, {&zero, 1}, slots, /*narrow=*/false, batch);
    EXPECT_EQ(sequences->QueryLength(0), batch.lengths(0));
    EXPECT_EQ(sequences->PassageLength(0), batch.lengths(1));
    return batch;
  }
  static std::vector<uint32_t> Ids(const MicroBatch& batch, int sequence) {
    const auto* ids = reinterpret_cast<const uint32_t*>(batch.tokens().data());
    if (sequence == 1) ids += batch.lengths(0);
    return {ids, ids + batch.lengths(sequence)};
  }

  const std::filesystem::path folder_;
  FakeDataset dataset_;
  muster::v1::ModelSpec model_;
  ResolvedJob resolved_;
  std::shared_ptr<const TokenStore> tokens_;
};

TEST_F(SequencesTest, PromptAndTextAreTokenizedTogether) {
  resolved_.mutable_prompts()->set_query("b: ");
  const MicroBatch batch = BatchOf(Bytes());
  EXPECT_THAT(Ids(batch, 0), ElementsAre(0, 3, 4, 6, 7, 1)) << "the blank belongs to the text's first word";
  EXPECT_THAT(Ids(batch, 1), ElementsAre(0, 3, 7, 7, 7, 1)) << "and passages have no prompt";
  EXPECT_THAT(batch.unpooled(), IsEmpty());
}

TEST_F(SequencesTest, WordPiecesNeedNoStoreOfTheirOwnForAPrompt) {
  const auto tokenizer = TestTokenizer();
  resolved_.mutable_prompts()->set_query("w0 ");
  resolved_.mutable_prompts()->set_passage("w0:");
  const JoinedPrompts joined = PromptsToJoin(*tokenizer, model_, resolved_);
  EXPECT_EQ(joined.query, "");
  EXPECT_EQ(joined.passage, "w0:");
}

TEST_F(SequencesTest, JobsFromBeforePromptsWereStoredContinueAsTheyBegan) {
  model_.mutable_prompts()->set_query("b:");
  EXPECT_EQ(PromptsToJoin(*Bytes(), model_, resolved_), JoinedPrompts());
  EXPECT_THAT(Ids(BatchOf(Bytes()), 0), ElementsAre(0, 3, 4, 2, 7, 1));
}

TEST_F(SequencesTest, ResolvedPromptsOverrideTheSpecification) {
  model_.mutable_prompts()->set_query("a:");
  resolved_.mutable_prompts();
  EXPECT_THAT(Ids(BatchOf(Bytes()), 0), ElementsAre(0, 2, 7, 1));
}

// sentence-transformers 6 counts in this way: the prompt alone with its special tokens but the last.
TEST_F(SequencesTest, ExcludedPromptsAreCountedFromTheFirstToken) {
  resolved_.mutable_prompts()->set_query("b: ");
  resolved_.set_exclude_prompt(true);
  EXPECT_THAT(BatchOf(Bytes()).unpooled(), ElementsAre(4, 0)) << "<s> b : and the prompt's own blank";
  resolved_.mutable_prompts()->set_passage("a a a a a a a a a");
  EXPECT_THAT(BatchOf(Bytes()).unpooled(), ElementsAre(4, 5)) << "cut to the passage's six tokens, except the last";
}

TEST_F(SequencesTest, TheTokenizerSaysAtWhichEndTextsAreCut) {
  resolved_.mutable_prompts();
  EXPECT_THAT(Ids(BatchOf(Bytes("Left")), 1), ElementsAre(0, 7, 7, 7, 7, 1));
  EXPECT_THAT(Ids(BatchOf(Bytes("Right")), 1), ElementsAre(0, 3, 7, 7, 7, 1));
}

TEST_F(SequencesTest, RefusesLengthsThatAreTooShort) {
  model_.mutable_max_length()->set_query(2);
  const auto tokens = TokenStore::OpenOrBuild(dataset_, Bytes(), {}, folder_, {});
  EXPECT_EQ(Sequences::Create(**tokens, model_, resolved_).status().message(),
            "model.max_length.query: 2 leaves no room for a token besides the 2 special ones. Set 3 or more.");
}

TEST_F(SequencesTest, RefusesTokensOfOtherPrompts) {
  resolved_.mutable_prompts()->set_query("b: ");
  const auto tokens = TokenStore::OpenOrBuild(dataset_, Bytes(), {}, folder_, {});
  EXPECT_THAT(std::string(Sequences::Create(**tokens, model_, resolved_).status().message()),
              HasSubstr("other prompts"));
}

}  // namespace
}  // namespace muster
