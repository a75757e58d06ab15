// tokenizer.json of Hugging Face's tokenizers, which Muster hands on and does not read itself.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace muster {

// tokenizer.json without truncation and padding, which are the caller's business. INVALID_ARGUMENT if it is no JSON
// object, or nested deeper than any tokenizer.
absl::StatusOr<std::string> UntruncatedTokenizer(const std::string& tokenizer_json);

}  // namespace muster
