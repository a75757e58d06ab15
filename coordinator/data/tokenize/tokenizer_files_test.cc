#include "coordinator/data/tokenize/tokenizer_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "common/files.h"
#include "common/status.h"
#include "test_paths.h"

namespace muster {
namespace {

using nlohmann::json;

using Folder = std::map<std::string, std::string, std::less<>>;

absl::StatusOr<std::shared_ptr<const Tokenizer>> Read(const Folder& folder) {
  return ReadTokenizer([&folder](std::string_view name) -> absl::StatusOr<std::optional<std::string>> {
    const auto found = folder.find(name);
    return found == folder.end() ? std::nullopt : std::optional(found->second);
  });
}

std::vector<uint32_t> Encode(const Folder& folder, std::string_view text) {
  const auto tokenizer = Read(folder);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  std::vector<uint32_t> ids;
  if (!tokenizer.ok()) return ids;
  EXPECT_TRUE((*tokenizer)->Encode(text, ids).ok());
  return ids;
}

std::string Error(const Folder& folder) { return std::string(Read(folder).status().message()); }

constexpr char kVocabulary[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ncafe\ncafé\nCafé\n中\n国\n中国\n";

// The same words as a cased tokenizer.json.
std::string Json() {
  json file = {{"version", "1.0"},
               {"added_tokens", json::array()},
               {"normalizer", {{"type", "BertNormalizer"}, {"lowercase", false}, {"strip_accents", false}}},
               {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
               {"post_processor", {{"type", "BertProcessing"}, {"sep", {"[SEP]", 3}}, {"cls", {"[CLS]", 2}}}},
               {"model",
                {{"type", "WordPiece"},
                 {"unk_token", "[UNK]"},
                 {"continuing_subword_prefix", "##"},
                 {"max_input_chars_per_word", 100},
                 {"vocab", json::object()}}}};
  uint32_t id = 0;
  std::string line;
  for (std::istringstream lines(kVocabulary); std::getline(lines, line); ++id) file["model"]["vocab"][line] = id;
  return file.dump();
}

TEST(TokenizerFiles, VocabTxtHonorsEachFlagOfTheConfiguration) {
  const auto with = [](const std::string& config) {
    return Encode({{"vocab.txt", kVocabulary}, {"tokenizer_config.json", config}}, "Café 中国");
  };
  EXPECT_EQ(Encode({{"vocab.txt", kVocabulary}}, "Café 中国"), (std::vector<uint32_t>{5, 8, 9}));
  EXPECT_EQ(with(R"({"strip_accents": false})"), (std::vector<uint32_t>{6, 8, 9}));
  EXPECT_EQ(with(R"({"do_lower_case": false})"), (std::vector<uint32_t>{7, 8, 9}));
  EXPECT_EQ(with(R"({"tokenize_chinese_chars": false})"), (std::vector<uint32_t>{5, 10}));
}

TEST(TokenizerFiles, TheClassDecidesWhoWins) {
  const auto with = [](const std::string& config) {
    return Encode({{"tokenizer.json", Json()}, {"vocab.txt", kVocabulary}, {"tokenizer_config.json", config}}, "Café");
  };
  // Observed with transformers 5.23.
  EXPECT_EQ(with(R"({"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": true})"), std::vector<uint32_t>{7});
  EXPECT_EQ(with(R"({"tokenizer_class": "TokenizersBackend"})"), std::vector<uint32_t>{7});
  EXPECT_EQ(with(R"({"tokenizer_class": "BertTokenizer"})"), std::vector<uint32_t>{5});
  EXPECT_EQ(with(R"({"tokenizer_class": "BertTokenizerFast", "strip_accents": false})"), std::vector<uint32_t>{6});
  EXPECT_EQ(with(R"({"tokenizer_class": "DistilBertTokenizer", "do_lower_case": false})"), std::vector<uint32_t>{7});
  EXPECT_EQ(with("{}"), std::vector<uint32_t>{7});
}

// The same choice as AutoTokenizer of transformers 5.23: by tokenizer_config.json, else by config.json.
TEST(TokenizerFiles, TheClassIsTheOneThatTransformersChooses) {
  const std::vector<uint32_t> rebuilt = {5}, as_it_is = {7};  // lowered and stripped of accents, or cased
  const auto with = [](const std::string& config, const std::string& model) {
    return Encode({{"tokenizer.json", Json()}, {"tokenizer_config.json", config}, {"config.json", model}}, "Café");
  };
  for (const std::string type : {"bert", "distilbert", "mpnet"}) {
    const std::string model = R"({"model_type": ")" + type + R"("})";
    EXPECT_EQ(with("{}", model), rebuilt) << type;
    EXPECT_EQ(with(R"({"tokenizer_class": null})", model), rebuilt) << type;
    EXPECT_EQ(with(R"({"do_lower_case": false})", model), as_it_is) << type;
    EXPECT_EQ(with(R"({"tokenizer_class": "PreTrainedTokenizerFast"})", model), as_it_is) << type;
    EXPECT_EQ(with(R"({"tokenizer_class": "MyTokenizer"})", model), as_it_is) << type;
  }
  EXPECT_EQ(with("{}", R"({"model_type": "modernbert"})"), as_it_is);
  EXPECT_EQ(with(R"({"tokenizer_class": "BertTokenizer"})", R"({"model_type": "modernbert"})"), as_it_is);
  EXPECT_EQ(with("{}", R"({"model_type": "unknown", "tokenizer_class": "BertTokenizerFast"})"), rebuilt);
  EXPECT_EQ(with(R"({"tokenizer_class": "PreTrainedTokenizerFast"})", R"({"tokenizer_class": "BertTokenizer"})"), as_it_is);
  for (const char* name : {"SqueezeBertTokenizer", "LxmertTokenizerFast", "LayoutLMTokenizer"}) {
    EXPECT_EQ(with(R"({"tokenizer_class": ")" + std::string(name) + R"("})", "{}"), rebuilt) << name;
  }
}

TEST(TokenizerFiles, AClassThatBuildsAnotherTokenizerIsRefused) {
  const auto with = [](const std::string& source, const std::string& name) {
    return Error({{source, source == "vocab.txt" ? kVocabulary : Json()},
                  {"tokenizer_config.json", R"({"tokenizer_class": ")" + name + R"("})"}});
  };
  EXPECT_EQ(with("tokenizer.json", "HerbertTokenizerFast"),
            "tokenizer_config.json: tokenizer_class: HerbertTokenizer is not supported: it makes normalizer and "
            "pre-tokenizer itself. Set it to PreTrainedTokenizerFast if those of tokenizer.json are the right ones.");
  EXPECT_EQ(with("tokenizer.json", "RobertaTokenizer"),
            "tokenizer_config.json: tokenizer_class: the class of the tokenizer needs a BPE model, and that of "
            "tokenizer.json is WordPiece. Set tokenizer_class to PreTrainedTokenizerFast.");
  EXPECT_EQ(with("vocab.txt", "BertJapaneseTokenizer").substr(0, 74),
            "tokenizer_config.json: tokenizer_class: BertJapaneseTokenizer is not suppo");
  EXPECT_EQ(with("vocab.txt", "XLMRobertaTokenizer"),
            "tokenizer_config.json: tokenizer_class: the class of the tokenizer does not read vocab.txt. Save the "
            "tokenizer with transformers 5, which writes tokenizer.json.");
  EXPECT_EQ(with("vocab.txt", "DistilBertTokenizer"), "");
}

TEST(TokenizerFiles, SpecialTokensOfTheConfigurationAreFoundInTheText) {
  const Folder folder = {{"tokenizer.json", Json()}, {"tokenizer_config.json", R"({"mask_token": "[MASK]"})"}};
  EXPECT_EQ(Encode(folder, "Café[MASK]Café"), (std::vector<uint32_t>{7, 4, 7}));
  EXPECT_EQ(Encode({{"tokenizer.json", Json()}}, "[MASK]").size(), 3) << "three unknown words";
}

TEST(TokenizerFiles, TruncationSideIsHonored) {
  for (const std::string source : {"tokenizer.json", "vocab.txt"}) {
    Folder folder = {{source, source == "vocab.txt" ? kVocabulary : Json()}};
    EXPECT_FALSE((*Read(folder))->truncates_left());
    folder["tokenizer_config.json"] = R"({"truncation_side": "left"})";
    EXPECT_TRUE((*Read(folder))->truncates_left());
  }
}

TEST(TokenizerFiles, SpecialTokensMapCountsWhereNothingNewerDoes) {
  Folder folder = {{"tokenizer.json", Json()}, {"special_tokens_map.json", R"({"mask_token": {"content": "[MASK]"}})"}};
  EXPECT_EQ(Encode(folder, "[MASK]"), std::vector<uint32_t>{4});
  folder["tokenizer_config.json"] = R"({"added_tokens_decoder": {}})";
  EXPECT_EQ(Encode(folder, "[MASK]").size(), 3);
}

TEST(TokenizerFiles, EveryKeyOfTheSpecialTokensMapIsKnown) {
  for (const std::string config : {"{}", R"({"added_tokens_decoder": {}})"}) {
    const auto with = [&](const std::string& map) {
      return Error({{"tokenizer.json", Json()}, {"tokenizer_config.json", config}, {"special_tokens_map.json", map}});
    };
    EXPECT_EQ(with(R"({"mask_token": "[MASK]", "bos_token": null, "surprise": null})"), "");
    EXPECT_EQ(with(R"({"surprise": "[MASK]"})"),
              "special_tokens_map.json: surprise: is not supported. Remove the key if no token id depends on it.");
    EXPECT_EQ(with(R"({"mask_token": {"content": "[MASK]", "surprise": true}})"),
              "special_tokens_map.json: mask_token: surprise is not a flag of a token");
    EXPECT_EQ(with(R"({"additional_special_tokens": 7})"),
              "special_tokens_map.json: additional_special_tokens: must be a list");
  }
}

TEST(TokenizerFiles, TokensOfOneModelAreFoundInTheText) {
  const std::string config = R"({"model_specific_special_tokens": {"query_token": "[Q]"}})";
  EXPECT_EQ(Encode({{"tokenizer.json", Json()}, {"tokenizer_config.json", config}}, "[Q]中"),
            (std::vector<uint32_t>{11, 8}));
}

TEST(TokenizerFiles, AddedTokensAreNeverLost) {
  const std::string config = R"({"added_tokens_decoder": {"12": {"content": "late"}, "9": {"content": "early"}}})";
  const Folder folder = {{"tokenizer.json", Json()}, {"tokenizer_config.json", config}};
  EXPECT_EQ(Encode(folder, "late early"), (std::vector<uint32_t>{12, 11})) << "behind the vocabulary, by their ids";
  EXPECT_EQ(Error({{"vocab.txt", kVocabulary}, {"tokenizer_config.json", config}}),
            "tokenizer_config.json: added_tokens_decoder: \"early\" is not supported without tokenizer.json. Save the "
            "tokenizer with transformers 5, which writes it.");
  EXPECT_EQ(Error({{"vocab.txt", kVocabulary}, {"added_tokens.json", R"({"new": 11})"}}),
            "added_tokens.json: new: is not in tokenizer.json. Save the tokenizer with transformers 5, which writes it "
            "there.");
  EXPECT_EQ(Error({{"vocab.txt", kVocabulary}, {"added_tokens.json", R"({"[MASK]": 4})"}}), "");
  json file = json::parse(Json());
  file["added_tokens"].push_back({{"id", 11}, {"content", "new"}});
  EXPECT_EQ(Error({{"tokenizer.json", file.dump()}, {"added_tokens.json", R"({"new": 11})"}}), "");
  EXPECT_EQ(Error({{"tokenizer.json", file.dump()}, {"added_tokens.json", R"({"new": 12})"}}),
            "added_tokens.json: new: has another id in tokenizer.json, which is the one used. Remove added_tokens.json, which "
            "transformers 5 no longer writes.");
  EXPECT_EQ(Error({{"tokenizer.json", file.dump()}, {"added_tokens.json", R"({"new": "11"})"}}),
            "added_tokens.json: new: must be a token's id");
}

TEST(TokenizerFiles, RefusesKeysByName) {
  const auto with = [](const std::string& config) {
    return Error({{"tokenizer.json", Json()}, {"tokenizer_config.json", config}});
  };
  EXPECT_EQ(with(R"({"surprise": 1})"),
            "tokenizer_config.json: surprise: is not supported. Remove the key if no token id depends on it.");
  EXPECT_EQ(with(R"({"surprise": null})"), "") << "a key that is null counts as absent";
  EXPECT_EQ(with(R"({"do_basic_tokenize": false})"),
            "tokenizer_config.json: do_basic_tokenize: false is not supported");
  EXPECT_EQ(with(R"({"never_split": ["a"]})"), "tokenizer_config.json: never_split: is not supported");
  EXPECT_EQ(with(R"({"split_special_tokens": true})"),
            "tokenizer_config.json: split_special_tokens: true is not supported");
  EXPECT_EQ(with("[]"), "tokenizer_config.json: is not a JSON object");
  EXPECT_EQ(Error({}), "the folder has no tokenizer.json, vocab.txt or sentencepiece.bpe.model");
}

TEST(TokenizerFiles, EarlierVersionsReadVocabTxtAlone) {
  const Folder folder = {{"tokenizer.json", Json()}, {"vocab.txt", kVocabulary}};
  const auto earlier =
      ReadTokenizerOfEarlierVersions([&](std::string_view name) -> absl::StatusOr<std::optional<std::string>> {
        const auto found = folder.find(name);
        return found == folder.end() ? std::nullopt : std::optional(found->second);
      });
  ASSERT_TRUE(earlier.ok()) << earlier.status();
  EXPECT_EQ((*earlier)->digest(), (*Read({{"vocab.txt", kVocabulary}}))->digest());
  EXPECT_NE((*earlier)->digest(), (*Read(folder))->digest());
}

// Model folders based on public bug reports about other tools; expected.json has the ids with special tokens.
TEST(TokenizerFiles, GivesTheIdsOfTheFoldersFromTheField) {
  const std::filesystem::path cases = MUSTER_SOURCE_DIR "/../shared/cases";
  if (!std::filesystem::exists(cases))
    GTEST_SKIP() << "left out: model folders from the field; " << cases << " is absent";
  int compared = 0;
  for (const char* name : {"01-st6-pooling-cls", "02-no-vocab-txt", "03-layernorm-gamma-beta", "04-strip-accents-false",
                           "05-chinese-chars-off", "06-padded-embedding-rows", "12-fast-tokenizer-class"}) {
    const std::filesystem::path model = cases / name / "model";
    const json expected = json::parse(*ReadFile(model / "expected.json"));
    const auto tokenizer =
        ReadTokenizer([&](std::string_view file) -> absl::StatusOr<std::optional<std::string>> {
          if (!std::filesystem::exists(model / file)) return std::nullopt;
          ASSIGN_OR_RETURN(std::string bytes, ReadFile(model / file));
          return bytes;
        });
    ASSERT_TRUE(tokenizer.ok()) << name << ": " << tokenizer.status();
    for (size_t i = 0; expected.contains("ids") && i < expected["texts"].size(); ++i) {
      std::vector<uint32_t> ids = (*tokenizer)->prefix();
      ASSERT_TRUE((*tokenizer)->Encode(expected["texts"][i].get<std::string>(), ids).ok());
      ids.insert(ids.end(), (*tokenizer)->suffix().begin(), (*tokenizer)->suffix().end());
      EXPECT_EQ(ids, expected["ids"][i].get<std::vector<uint32_t>>()) << name << ": " << expected["texts"][i];
      ++compared;
    }
  }
  EXPECT_GT(compared, 8);
}

}  // namespace
}  // namespace muster
