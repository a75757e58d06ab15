// A tokenizer: the ids of a text, as Hugging Face's tokenizers 0.23 gives them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace muster {

// Thread-safe: immutable. Owned by the token stores and jobs that use it, through a shared_ptr.
class Tokenizer {
 public:
  // The facts that every kind of tokenizer reports about itself.
  struct Facts {
    std::vector<uint32_t> prefix, suffix;  // ids that the post-processor puts around one sequence; both may be empty
    uint32_t pad = 0;
    uint32_t vocabulary_size = 0;          // largest id + 1, added tokens included
    std::string digest;                    // SHA-256, hexadecimal: equal digests give equal ids
    bool truncates_left = false;           // a text that is too long loses its first tokens, not its last
    std::vector<uint32_t> special;         // ids of the special tokens, ascending
  };

  virtual ~Tokenizer() = default;

  // Appends the ids of the text, without prefix and suffix. Bytes that are not UTF-8 count as U+FFFD. INVALID_ARGUMENT
  // if the tokenizer's pattern cannot be matched against the text; names the place. The same text always succeeds or
  // always fails.
  virtual absl::Status Encode(std::string_view utf8, std::vector<uint32_t>& ids) const = 0;

  // True if the ids of `prompt` followed by the ids of a text are the ids of the concatenation, for any text. False if
  // tokenization may depend on both sides of the prompt's end, or that is unknown.
  virtual bool SplitsAfter(std::string_view prompt) const = 0;

  const std::vector<uint32_t>& prefix() const { return facts_.prefix; }
  const std::vector<uint32_t>& suffix() const { return facts_.suffix; }
  uint32_t pad() const { return facts_.pad; }
  uint32_t vocabulary_size() const { return facts_.vocabulary_size; }
  const std::string& digest() const { return facts_.digest; }
  bool truncates_left() const { return facts_.truncates_left; }
  bool IsSpecial(uint32_t id) const;

 protected:
  explicit Tokenizer(Facts facts) : facts_(std::move(facts)) {}

 private:
  Facts facts_;
};

}  // namespace muster
