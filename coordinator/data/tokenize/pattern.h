// Patterns that cut a text: of the pre-tokenizer Split and the normalizer Replace.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/data/tokenize/json_reader.h"

namespace muster {

// Thread-safe: immutable.
class Pattern {
 public:
  virtual ~Pattern() = default;
  // Calls `match` with begin and end of each match of the text, which is UTF-8, from left to right. Matches do not
  // overlap, and none is empty. INVALID_ARGUMENT names pattern and place where a regular expression exceeds ICU's
  // limits of stack or time.
  virtual absl::Status ForEachMatch(std::string_view text,
                                    absl::FunctionRef<void(size_t begin, size_t end)> match) const = 0;
};

std::unique_ptr<const Pattern> LiteralPattern(std::string literal);
// `regex` has Oniguruma's syntax. The patterns of GPT-2, Qwen2 and cl100k, and a repeated character (" {2,}"), have fast
// splitters; all others use ICU. INVALID_ARGUMENT names constructs that the two libraries interpret differently.
absl::StatusOr<std::unique_ptr<const Pattern>> RegexPattern(const std::string& regex);
// Always uses ICU; the splitters are tested against it.
absl::StatusOr<std::unique_ptr<const Pattern>> IcuPattern(const std::string& regex);

// The key "pattern" of the object: {"String": …} or {"Regex": …}.
absl::StatusOr<std::unique_ptr<const Pattern>> ReadPattern(const JsonObject& json);

extern const char kGpt2Pattern[];    // of the pre-tokenizer ByteLevel
extern const char kQwen2Pattern[];   // digits apart
extern const char kCl100kPattern[];  // up to three digits together

}  // namespace muster
