#include "coordinator/data/tokenize/tokenizer_files.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/tokenize/json_reader.h"
#include "coordinator/data/tokenize/sentencepiece.h"
#include "coordinator/data/tokenize/tokenizer_class.h"
#include "coordinator/data/tokenize/tokenizer_config.h"
#include "coordinator/data/tokenize/tokenizer_json.h"
#include "coordinator/data/tokenize/vocab_txt.h"

namespace muster {
namespace {

using nlohmann::json;

constexpr std::string_view kConfig = "tokenizer_config.json";
constexpr std::string_view kSpecialTokensMap = "special_tokens_map.json";
constexpr std::string_view kAddedTokens = "added_tokens.json";

// The parsed file; an empty object if there is none.
absl::StatusOr<json> ReadOptional(const TokenizerFileReader& read, std::string_view name) {
  ASSIGN_OR_RETURN(const std::optional<std::string> text, read(name));
  if (!text.has_value()) return json::object();
  return ParseJsonObject(*text, name);
}

// added_tokens.json of older folders: token → id. Its tokens must be those of tokenizer.json.
absl::Status CheckAddedTokensFile(const TokenizerFileReader& read, const json& tokenizer) {
  ASSIGN_OR_RETURN(const std::optional<std::string> text, read(kAddedTokens));
  if (!text.has_value()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const json added, ParseJsonObject(*text, kAddedTokens));
  ASSIGN_OR_RETURN(const JsonObject file, JsonObject::Of(added, std::string(kAddedTokens)));
  const json tokens = tokenizer.value("added_tokens", json::array());
  for (const auto& [content, id] : added.items()) {
    if (!id.is_number_unsigned()) return file.Error(content, "must be a token's id");
    const auto known = std::ranges::find_if(tokens, [&content = content](const json& token) {
      return token.is_object() && token.value("content", json()) == json(content);
    });
    if (known != tokens.end() && known->contains("id") && (*known)["id"] != id) {
      return file.Error(content, "has another id in tokenizer.json, which is the one used. Remove added_tokens.json, "
                                              "which transformers 5 no longer writes.");
    }
    if (known == tokens.end()) {
      return file.Error(content,
                        "is not in tokenizer.json. Save the tokenizer with transformers 5, which writes it there.");
    }
  }
  return absl::OkStatus();
}

// The parts of tokenizer.json that vocab.txt provides for CheckAddedTokensFile: the usual special tokens, by line.
json AddedTokensOfVocabulary(std::string_view vocabulary) {
  json tokens = json::array();
  uint64_t line = 0;
  for (const absl::string_view whole : absl::StrSplit(ToAbsl(vocabulary), '\n')) {
    const absl::string_view token = absl::StripTrailingAsciiWhitespace(whole);
    const bool special = token == "[PAD]" || token == "[UNK]" || token == "[CLS]" || token == "[SEP]" || token == "[MASK]";
    if (special) tokens.push_back({{"content", std::string(token)}, {"id", line}});
    ++line;
  }
  return {{"added_tokens", std::move(tokens)}};
}

bool TruncatesLeft(const JsonObject& config) {
  return config.String("truncation_side", "right").value_or("right") == "left";
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Tokenizer>> ReadTokenizer(const TokenizerFileReader& read) {
  ASSIGN_OR_RETURN(json config_json, ReadOptional(read, kConfig));
  ASSIGN_OR_RETURN(const std::optional<std::string> special_tokens, read(kSpecialTokensMap));
  if (special_tokens.has_value()) {
    ASSIGN_OR_RETURN(const json map_json, ParseJsonObject(*special_tokens, kSpecialTokensMap));
    ASSIGN_OR_RETURN(const JsonObject map, JsonObject::Of(map_json, std::string(kSpecialTokensMap)));
    RETURN_IF_ERROR(MergeSpecialTokensMap(map, config_json));
  }
  ASSIGN_OR_RETURN(const JsonObject config, JsonObject::Of(config_json, std::string(kConfig)));
  ASSIGN_OR_RETURN(const json model_json, ReadOptional(read, "config.json"));
  ASSIGN_OR_RETURN(const JsonObject model_config, JsonObject::Of(model_json, "config.json"));
  ASSIGN_OR_RETURN(const TokenizerClass tokenizer_class, TokenizerClassOf(config, model_config));
  ASSIGN_OR_RETURN(const std::optional<std::string> tokenizer_json, read("tokenizer.json"));
  if (tokenizer_json.has_value()) {
    ASSIGN_OR_RETURN(json file, ParseJsonObject(*tokenizer_json, "tokenizer.json"));
    RETURN_IF_ERROR(ApplyTokenizerConfig(config, tokenizer_class, file));
    RETURN_IF_ERROR(CheckAddedTokensFile(read, file));
    return TokenizerOfJson(file);
  }
  RETURN_IF_ERROR(CheckTokenizerConfig(config));
  ASSIGN_OR_RETURN(const std::optional<std::string> vocabulary, read("vocab.txt"));
  if (vocabulary.has_value()) {
    RETURN_IF_ERROR(CheckClassWithoutJson(tokenizer_class, TokenizerClass::kBert, "vocab.txt", config));
    RETURN_IF_ERROR(CheckSpecialTokens(config, {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}));
    RETURN_IF_ERROR(CheckAddedTokensFile(read, AddedTokensOfVocabulary(*vocabulary)));
    ASSIGN_OR_RETURN(const BertOptions options, BertOptionsOf(config));
    return TokenizerOfVocabulary(*vocabulary, options, TruncatesLeft(config));
  }
  ASSIGN_OR_RETURN(const std::optional<std::string> model, read("sentencepiece.bpe.model"));
  if (model.has_value()) {
    RETURN_IF_ERROR(CheckAddedTokensFile(read, json::object()));
    RETURN_IF_ERROR(
        CheckClassWithoutJson(tokenizer_class, TokenizerClass::kXlmRoberta, "sentencepiece.bpe.model", config));
    RETURN_IF_ERROR(CheckSpecialTokens(config, {"<s>", "<pad>", "</s>", "<unk>", "<mask>"}));
    return TokenizerOfSentencePiece(*model, TruncatesLeft(config));
  }
  return absl::InvalidArgumentError("the folder has no tokenizer.json, vocab.txt or sentencepiece.bpe.model");
}

absl::StatusOr<std::shared_ptr<const Tokenizer>> ReadTokenizerOfEarlierVersions(const TokenizerFileReader& read) {
  ASSIGN_OR_RETURN(const json config_json, ReadOptional(read, kConfig));
  ASSIGN_OR_RETURN(const JsonObject config, JsonObject::Of(config_json, std::string(kConfig)));
  ASSIGN_OR_RETURN(const std::optional<std::string> vocabulary, read("vocab.txt"));
  if (!vocabulary.has_value()) return absl::InvalidArgumentError("vocab.txt: is missing");
  ASSIGN_OR_RETURN(const bool lower_case, config.Bool("do_lower_case", true));
  return TokenizerOfVocabulary(*vocabulary, lower_case);
}

}  // namespace muster
