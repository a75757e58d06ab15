// Which class of transformers 5 reads a folder's tokenizer, and how that class changes it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/data/tokenize/json_reader.h"

namespace muster {

enum class TokenizerClass {
  kAsItIs,      // tokenizer.json is used unchanged
  kBert,        // normalizer and pre-tokenizer are the class's own, from the keys of tokenizer_config.json
  kRoberta,     // like kBert
  kXlmRoberta,  // like kBert
  kQwen2,       // like kBert
};

// Chooses as AutoTokenizer does: tokenizer_class of tokenizer_config.json, else of config.json, else the one of config.json's
// model_type. `model` is config.json, or an empty object. INVALID_ARGUMENT for a class that builds its tokenizer in a way
// that Muster does not know.
absl::StatusOr<TokenizerClass> TokenizerClassOf(const JsonObject& config, const JsonObject& model);

// Rewrites the parsed tokenizer.json as the class does.
absl::Status ApplyTokenizerClass(TokenizerClass tokenizer_class, const JsonObject& config, nlohmann::json& tokenizer);

// INVALID_ARGUMENT unless the class reads a folder without tokenizer.json as `reads` does. kAsItIs: no class is named.
absl::Status CheckClassWithoutJson(TokenizerClass tokenizer_class, TokenizerClass reads, std::string_view file,
                                   const JsonObject& config);

}  // namespace muster
