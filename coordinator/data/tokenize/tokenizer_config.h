// How tokenizer_config.json changes a tokenizer, as transformers 5 reads it.
#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/data/tokenize/bert_words.h"
#include "coordinator/data/tokenize/json_reader.h"
#include "coordinator/data/tokenize/tokenizer_class.h"

namespace muster {

// INVALID_ARGUMENT names a key that Muster does not know, or whose value it cannot honor.
absl::Status CheckTokenizerConfig(const JsonObject& config);

// Every special token that the configuration names must be one of these, which the vocabulary's file implies.
absl::Status CheckSpecialTokens(const JsonObject& config, std::initializer_list<std::string_view> known);

// special_tokens_map.json names special tokens as tokenizer_config.json does, and overrides it unless that has
// added_tokens_decoder, as in transformers 5.
absl::Status MergeSpecialTokensMap(const JsonObject& map, nlohmann::json& config);

// do_lower_case, strip_accents, tokenize_chinese_chars.
absl::StatusOr<BertOptions> BertOptionsOf(const JsonObject& config);

// Rewrites the parsed tokenizer.json as the class says; adds the special tokens that the configuration names;
// truncation_side overrides truncation.direction.
absl::Status ApplyTokenizerConfig(const JsonObject& config, TokenizerClass tokenizer_class, nlohmann::json& tokenizer);

}  // namespace muster
