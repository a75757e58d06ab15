// Reads tokenizer.json of Hugging Face's tokenizers. An unsupported value is refused, with its place in the file.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "coordinator/data/tokenize/tokenizer.h"

namespace muster {

// `file` is the parsed tokenizer.json; `name` is the file's name, for messages.
absl::StatusOr<std::shared_ptr<const Tokenizer>> TokenizerOfJson(const nlohmann::json& file,
                                                                 std::string_view name = "tokenizer.json");

}  // namespace muster
