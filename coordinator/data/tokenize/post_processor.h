// The key "post_processor" of tokenizer.json: the special tokens around one sequence.
// Source: huggingface/tokenizers, processors/.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "coordinator/data/tokenize/json_reader.h"

namespace muster {

// Adds the post-processor's ids before and after the given ones. INVALID_ARGUMENT names what is not supported.
absl::Status AddPostProcessor(const JsonObject& json, std::vector<uint32_t>& prefix, std::vector<uint32_t>& suffix);

}  // namespace muster
