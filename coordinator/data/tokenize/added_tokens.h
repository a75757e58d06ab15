// Tokens that are found in the text before the model sees it: special tokens, and tokens that users added.
// Source: huggingface/tokenizers, tokenizer/added_vocabulary.rs.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "coordinator/data/tokenize/byte_trie.h"

namespace muster {

struct AddedToken {
  uint32_t id = 0;
  std::string content;       // the text that is searched for: normalized, if `normalized`
  bool single_word = false;  // not inside a word
  bool lstrip = false;       // swallows the white space on its left
  bool rstrip = false;
  bool normalized = false;   // searched for in the normalized text
  bool special = false;
};

// Finds the leftmost longest tokens. Thread-safe: immutable.
class AddedTokens {
 public:
  explicit AddedTokens(std::vector<AddedToken> tokens);  // no two with the same content, none empty

  bool empty() const { return tokens_.empty(); }
  // Calls `text` with the text between tokens (never empty), and `token` with the id of each token, in order.
  void Split(std::string_view sentence, absl::FunctionRef<void(std::string_view)> text,
             absl::FunctionRef<void(uint32_t)> token) const;

 private:
  const AddedToken* LongestAt(std::string_view rest) const;

  std::vector<AddedToken> tokens_;
  ByteTrie trie_;                         // content → index of tokens_
  std::array<bool, 256> begins_one_ = {};  // by first byte
};

}  // namespace muster
