// Reads the tokenizer of a model's folder: chooses the file, and applies tokenizer_config.json.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "coordinator/data/tokenize/tokenizer.h"

namespace muster {

// The bytes of a file of the folder, or nothing if it is absent.
using TokenizerFileReader = std::function<absl::StatusOr<std::optional<std::string>>(std::string_view name)>;

// INVALID_ARGUMENT names file and place of what is not supported.
absl::StatusOr<std::shared_ptr<const Tokenizer>> ReadTokenizer(const TokenizerFileReader& read);

// Reads only vocab.txt, lower-cased or not, as earlier versions did. For jobs that began with such a version.
absl::StatusOr<std::shared_ptr<const Tokenizer>> ReadTokenizerOfEarlierVersions(const TokenizerFileReader& read);

}  // namespace muster
