#include "coordinator/data/tokenize/tokenizer_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/files.h"
#include "coordinator/data/tokenize/model_json.h"
#include "test_paths.h"

namespace muster {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

// A small tokenizer of bytes: ids 0 to 255 are the bytes' characters in the order of their code points.
json Small() {
  return json::parse(R"({
    "version": "1.0", "truncation": null, "padding": null, "decoder": {"type": "ByteLevel"},
    "added_tokens": [{"id": 0, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
                      "normalized": false, "special": true}],
    "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
    "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 1], "cls": ["<s>", 0], "trim_offsets": true,
                       "add_prefix_space": false},
    "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
              "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
              "vocab": {"<s>": 0, "</s>": 1, "a": 2, "b": 3, "Ġ": 4, "ab": 5, "Ġab": 6},
              "merges": ["a b", ["Ġ", "ab"]]}})");
}

std::vector<uint32_t> Encode(const json& file, std::string_view text) {
  std::vector<uint32_t> ids;
  EXPECT_TRUE((*TokenizerOfJson(file))->Encode(text, ids).ok());
  return ids;
}

std::string Error(const json& file) {
  const auto tokenizer = TokenizerOfJson(file);
  return tokenizer.ok() ? "" : std::string(tokenizer.status().message());
}

// Expected ids: tokenizers 0.23.3; tests/long/make_tokenizer_cases.py wrote the file.
TEST(TokenizerJson, GivesTheIdsOfHuggingFaceForEveryKind) {
  const json cases =
      json::parse(*ReadFile(MUSTER_SOURCE_DIR "/coordinator/data/tokenize/tokenizer_cases.json"), nullptr, false);
  ASSERT_TRUE(cases.is_array());
  ASSERT_GE(cases.size(), 20);
  for (const json& one : cases) {
    const std::string name = one["name"];
    const auto tokenizer = TokenizerOfJson(one["tokenizer"]);
    ASSERT_TRUE(tokenizer.ok()) << name << ": " << tokenizer.status();
    for (size_t i = 0; i < one["texts"].size(); ++i) {
      std::vector<uint32_t> ids = (*tokenizer)->prefix();
      EXPECT_TRUE((*tokenizer)->Encode(one["texts"][i].get<std::string>(), ids).ok());
      ids.insert(ids.end(), (*tokenizer)->suffix().begin(), (*tokenizer)->suffix().end());
      EXPECT_EQ(ids, one["ids"][i].get<std::vector<uint32_t>>()) << name << ": " << one["texts"][i];
    }
  }
}

TEST(TokenizerJson, MergesBytesInTheOrderOfTheirRanks) {
  EXPECT_THAT(Encode(Small(), "ab ab"), ElementsAre(5, 6));
  EXPECT_THAT(Encode(Small(), "ba<s>b"), ElementsAre(3, 2, 0, 3));
  EXPECT_THAT(Encode(Small(), "a?b"), ElementsAre(2, 3)) << "unknown, and no token for it: nothing";
}

TEST(TokenizerJson, TheVocabularyEndsBehindTheLargestId) {
  json file = Small();
  EXPECT_EQ((*TokenizerOfJson(file))->vocabulary_size(), 7);
  file["added_tokens"].push_back({{"id", 99}, {"content", "new"}, {"special", false}, {"normalized", false}});
  EXPECT_EQ((*TokenizerOfJson(file))->vocabulary_size(), 8) << "tokens that the vocabulary lacks come behind it";
  EXPECT_THAT(Encode(file, "anewb"), ElementsAre(2, 7, 3));
  file["model"]["vocab"]["far"] = 20u;
  EXPECT_EQ((*TokenizerOfJson(file))->vocabulary_size(), 21);
}

TEST(TokenizerJson, ThePostProcessorGivesThePrefixAndSuffixOfASequence) {
  json file = Small();
  EXPECT_THAT((*TokenizerOfJson(file))->prefix(), ElementsAre(0));
  EXPECT_THAT((*TokenizerOfJson(file))->suffix(), ElementsAre(1));
  file["post_processor"] = json::parse(R"({"type": "Sequence", "processors": [{"type": "ByteLevel"},
    {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}},
      {"SpecialToken": {"id": "</s>", "type_id": 0}}], "pair": [],
     "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}}]})");
  EXPECT_TRUE((*TokenizerOfJson(file))->prefix().empty());
  EXPECT_THAT((*TokenizerOfJson(file))->suffix(), ElementsAre(1));
  file["post_processor"] = nullptr;
  EXPECT_TRUE((*TokenizerOfJson(file))->suffix().empty());
  file["post_processor"] = {{"type", "RobertaProcessing"}, {"sep", {"x", 7u}}, {"cls", {"x", 0u}}};
  EXPECT_EQ(Error(file), "tokenizer.json: post_processor: id 7 has no token");
}

TEST(TokenizerJson, TheDigestIsOfWhatDecidesIds) {
  const std::string digest = (*TokenizerOfJson(Small()))->digest();
  json file = Small();
  file["truncation"] = {{"direction", "Left"}, {"max_length", 8}, {"strategy", "LongestFirst"}, {"stride", 0}};
  file["padding"] = {{"pad_id", 1u}};
  file["decoder"] = nullptr;
  EXPECT_EQ((*TokenizerOfJson(file))->digest(), digest);
  EXPECT_TRUE((*TokenizerOfJson(file))->truncates_left());
  EXPECT_EQ((*TokenizerOfJson(file))->pad(), 1);
  file["normalizer"] = {{"type", "NFC"}};
  EXPECT_NE((*TokenizerOfJson(file))->digest(), digest);
}

TEST(TokenizerJson, RefusesByNameWhatItDoesNotHonor) {
  const auto with = [](const char* pointer, const json& value) {
    json file = Small();
    file[json::json_pointer(pointer)] = value;
    return Error(file);
  };
  EXPECT_EQ(with("/surprise", 1), "tokenizer.json: surprise is not supported");
  EXPECT_EQ(with("/version", "2.0"), "tokenizer.json: version: \"2.0\" is not supported");
  EXPECT_EQ(with("/model/dropout", 0.1),
            "tokenizer.json: model.dropout: is not supported: ids would be random. Set it to null.");
  EXPECT_EQ(with("/model/type", "WordLevel"),
            "tokenizer.json: model.type: \"WordLevel\" is not supported. Use WordPiece, BPE or Unigram.");
  EXPECT_EQ(with("/model/unk_token", "?"), "tokenizer.json: model: the vocabulary has no entry ?");
  EXPECT_EQ(with("/model/merges/0", "a b c"), "tokenizer.json: model.merges[0]: must be two tokens");
  EXPECT_THAT(with("/model/merges/0", "b a"), HasSubstr("merges[0]: the vocabulary lacks"));
  EXPECT_EQ(with("/model/vocab/a", -1), "tokenizer.json: model.vocab.a: must be a whole number below 2^32 - 1");
  EXPECT_EQ(with("/normalizer", {{"type", "Magic"}}), "tokenizer.json: normalizer.type: \"Magic\" is not supported");
  EXPECT_EQ(with("/normalizer", json::parse(R"({"type": "Sequence", "normalizers": [{"type": "NFC", "form": 1}]})")),
            "tokenizer.json: normalizer.normalizers[0].form is not supported");
  EXPECT_EQ(with("/pre_tokenizer/type", "UnicodeScripts"),
            "tokenizer.json: pre_tokenizer.type: \"UnicodeScripts\" is not supported");
  EXPECT_THAT(with("/pre_tokenizer", json::parse(R"({"type": "Split", "pattern": {"Regex": "a*"},
                                                     "behavior": "Isolated", "invert": false})")),
              HasSubstr("it matches the empty text"));
  EXPECT_EQ(with("/added_tokens/0/content", 5), "tokenizer.json: added_tokens[0].content: must be a string");
}

// Observed with tokenizers 0.23.3: the scores that it writes after reading them.
TEST(TokenizerJson, ScoresAreReadAsTheSourceReadsThem) {
  EXPECT_EQ(ScoreAsRead(-15.275492379532281), -15.27549237953228);
  EXPECT_EQ(ScoreAsRead(-9.908701741838819), -9.90870174183882);
  EXPECT_EQ(ScoreAsRead(-1.8771917354846979), -1.877191735484698);
  EXPECT_EQ(ScoreAsRead(-13.5), -13.5);
  EXPECT_EQ(ScoreAsRead(0), 0);
}

TEST(TokenizerJson, TakesWhatIsNotUtf8AsReplacementCharacters) {
  json file = Small();
  file["model"]["unk_token"] = "<s>";
  EXPECT_EQ(Encode(file, "a\xFF" "b"), Encode(file, "a\xEF\xBF\xBD" "b"));
}

}  // namespace
}  // namespace muster
