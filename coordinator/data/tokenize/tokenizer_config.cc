#include "coordinator/data/tokenize/tokenizer_config.h"

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/model/harmless_keys.h"
#include "common/status.h"

namespace muster {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 7> kSpecialTokens = {"bos_token", "eos_token", "unk_token", "sep_token",
                                                            "pad_token", "cls_token", "mask_token"};

constexpr std::array<std::string_view, 3> kTokenLists = {"extra_special_tokens", "additional_special_tokens",
                                                         "model_specific_special_tokens"};

absl::Status MustBeFalse(const JsonObject& config, std::string_view key, bool otherwise = false) {
  ASSIGN_OR_RETURN(const bool value, config.Bool(key, otherwise));
  return value ? config.Error(key, "true is not supported") : absl::OkStatus();
}

// A token as tokenizer_config.json writes it: its text, or an object with its flags.
absl::StatusOr<json> SpecialToken(const JsonObject& config, std::string_view key, const json& value) {
  json token = {{"single_word", false}, {"lstrip", false}, {"rstrip", false}, {"normalized", false}, {"special", true}};
  if (value.is_string()) {
    token["content"] = value;
    return token;
  }
  if (!value.is_object() || !value.contains("content")) return config.Error(key, "must be a token");
  for (const auto& [name, flag] : value.items()) {
    if (name == "__type") continue;
    if (name != "id" && !token.contains(name) && name != "content") {
      return config.Error(key, absl::StrCat(name, " is not a flag of a token"));
    }
    token[name] = flag;
  }
  return token;
}

bool Contains(const json& tokens, const json& content) {
  return std::ranges::any_of(tokens, [&](const json& token) {
    return token.is_object() && token.value("content", json()) == content;
  });
}

// Calls `use` with the key and each special token that the configuration names.
absl::Status ForEachSpecialToken(const JsonObject& config,
                                 absl::FunctionRef<absl::Status(std::string_view key, json token)> use) {
  for (const std::string_view key : kSpecialTokens) {
    const json* value = config.Find(key);
    if (value == nullptr) continue;
    ASSIGN_OR_RETURN(json token, SpecialToken(config, key, *value));
    RETURN_IF_ERROR(use(key, std::move(token)));
  }
  for (const std::string_view key : kTokenLists) {
    const json* list = config.Find(key);
    if (list == nullptr) continue;
    if (!list->is_array() && !list->is_object()) return config.Error(key, "must be a list");
    for (const json& value : *list) {
      ASSIGN_OR_RETURN(json token, SpecialToken(config, key, value));
      RETURN_IF_ERROR(use(key, std::move(token)));
    }
  }
  return absl::OkStatus();
}

absl::Status AddSpecialTokens(const JsonObject& config, json& tokens) {
  return ForEachSpecialToken(config, [&](std::string_view, json token) {
    if (!Contains(tokens, token["content"])) tokens.push_back(std::move(token));
    return absl::OkStatus();
  });
}

// The entries of added_tokens_decoder by ascending id.
absl::StatusOr<std::map<uint64_t, json>> AddedTokensOf(const JsonObject& config) {
  std::map<uint64_t, json> tokens;
  if (config.Find("added_tokens_decoder") == nullptr) return tokens;
  ASSIGN_OR_RETURN(const JsonObject decoder, config.Object("added_tokens_decoder"));
  for (const auto& [key, value] : decoder.json().items()) {
    uint64_t id = 0;
    if (!absl::SimpleAtoi(key, &id)) return decoder.Error(key, "must be an id");
    ASSIGN_OR_RETURN(json token, SpecialToken(decoder, key, value));
    if (!value.contains("special")) token["special"] = false;
    tokens[id] = std::move(token);
  }
  return tokens;
}

// added_tokens_decoder: id → token; overrides the token of the same text in tokenizer.json.
absl::Status ApplyAddedTokens(const JsonObject& config, json& tokens) {
  ASSIGN_OR_RETURN(auto added, AddedTokensOf(config));
  for (auto& [id, token] : added) {
    const json content = token["content"];
    const auto known = std::ranges::find_if(tokens, [&](const json& other) {
      return other.is_object() && other.value("content", json()) == content;
    });
    if (known != tokens.end()) {
      *known = std::move(token);
    } else {
      tokens.push_back(std::move(token));
    }
  }
  return absl::OkStatus();
}

// transformers keeps the post-processor of tokenizer.json whatever these keys say; Muster refuses the contradiction.
absl::Status CheckAddedEnds(const JsonObject& config, const json& tokenizer) {
  for (const std::string_view key : {"add_bos_token", "add_eos_token"}) {
    ASSIGN_OR_RETURN(const bool adds, config.Bool(key, false));
    const auto processor = tokenizer.find("post_processor");
    if (adds && (processor == tokenizer.end() || processor->is_null())) {
      return config.Error(key, "is true, and tokenizer.json has no post_processor that adds the token. Save the "
                               "tokenizer with transformers 5.");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckTokenizerConfig(const JsonObject& config) {
  for (const auto& [key, value] : config.json().items()) {
    const auto known = std::ranges::find(HarmlessTokenizerKeys(), key, &HarmlessKey::name);
    if (!value.is_null() && known == HarmlessTokenizerKeys().end()) {
      return config.Error(key, "is not supported. Remove the key if no token id depends on it.");
    }
  }
  if (config.Find("tokenizer_class") != nullptr) RETURN_IF_ERROR(config.String("tokenizer_class").status());
  if (config.Find("auto_map") != nullptr) {
    return config.Error("auto_map", "a tokenizer of the model's own Python code is not supported");
  }
  RETURN_IF_ERROR(MustBeFalse(config, "split_special_tokens"));
  ASSIGN_OR_RETURN(const bool basic, config.Bool("do_basic_tokenize", true));
  if (!basic) return config.Error("do_basic_tokenize", "false is not supported");
  const json* never_split = config.Find("never_split");
  if (never_split != nullptr && !never_split->empty()) return config.Error("never_split", "is not supported");
  return absl::OkStatus();
}

absl::Status CheckSpecialTokens(const JsonObject& config, std::initializer_list<std::string_view> known) {
  const auto check = [&](std::string_view key, const json& token) {
    const json& content = token["content"];
    if (content.is_string() && std::ranges::find(known, content.get<std::string>()) != known.end()) {
      return absl::OkStatus();
    }
    return config.Error(key, absl::StrCat(content.dump(),
                                          " is not supported without tokenizer.json. Save the tokenizer "
                                          "with transformers 5, which writes it."));
  };
  RETURN_IF_ERROR(ForEachSpecialToken(config, check));
  ASSIGN_OR_RETURN(const auto added, AddedTokensOf(config));
  for (const auto& [id, token] : added) RETURN_IF_ERROR(check("added_tokens_decoder", token));
  return absl::OkStatus();
}

absl::Status MergeSpecialTokensMap(const JsonObject& map, json& config) {
  for (const auto& [key, value] : map.json().items()) {
    if (!value.is_null() && std::ranges::find(kSpecialTokens, key) == kSpecialTokens.end() &&
        std::ranges::find(kTokenLists, key) == kTokenLists.end()) {
      return map.Error(key, "is not supported. Remove the key if no token id depends on it.");
    }
  }
  const auto check = [](std::string_view, const json&) { return absl::OkStatus(); };
  RETURN_IF_ERROR(ForEachSpecialToken(map, check));
  if (!config.contains("added_tokens_decoder")) config.update(map.json());
  return absl::OkStatus();
}

absl::StatusOr<BertOptions> BertOptionsOf(const JsonObject& config) {
  BertOptions options;
  ASSIGN_OR_RETURN(options.lower_case, config.Bool("do_lower_case", true));
  ASSIGN_OR_RETURN(options.strip_accents, config.Bool("strip_accents", options.lower_case));
  ASSIGN_OR_RETURN(options.split_ideographs, config.Bool("tokenize_chinese_chars", true));
  return options;
}

absl::Status ApplyTokenizerConfig(const JsonObject& config, TokenizerClass tokenizer_class, json& tokenizer) {
  RETURN_IF_ERROR(CheckTokenizerConfig(config));
  RETURN_IF_ERROR(CheckAddedEnds(config, tokenizer));
  RETURN_IF_ERROR(ApplyTokenizerClass(tokenizer_class, config, tokenizer));
  json& tokens = tokenizer["added_tokens"];
  if (tokens.is_null()) tokens = json::array();
  if (!tokens.is_array()) return absl::InvalidArgumentError("tokenizer.json: added_tokens: must be a list");
  RETURN_IF_ERROR(ApplyAddedTokens(config, tokens));
  RETURN_IF_ERROR(AddSpecialTokens(config, tokens));
  ASSIGN_OR_RETURN(const std::string side, config.String("truncation_side", ""));
  if (side.empty()) return absl::OkStatus();
  if (side != "left" && side != "right") return config.Error("truncation_side", "must be left or right");
  tokenizer["truncation"] = {{"direction", side == "left" ? "Left" : "Right"}};
  return absl::OkStatus();
}

}  // namespace muster
