// tokenizer.json of Hugging Face's tokenizers, which Muster passes on without reading it here.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace muster {

// tokenizer.json without truncation and padding, which callers apply themselves. INVALID_ARGUMENT if it is not a JSON
// object, or nested deeper than any tokenizer.
absl::StatusOr<std::string> UntruncatedTokenizer(const std::string& tokenizer_json);

// tokenizer_config.json with `tokens` as the length at which texts are cut, wherever it names one, and otherwise unchanged.
absl::StatusOr<std::string> TokenizerConfigWithLength(const std::string& tokenizer_config_json, int64_t tokens);

}  // namespace muster
