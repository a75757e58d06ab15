// BERT's normalizer and pre-tokenizer in one pass: a text becomes words.
//
// Control characters and U+FFFD are dropped and white space becomes a space; CJK ideographs are set apart; the text is
// decomposed (NFD) and stripped of nonspacing marks, and lowered; then it is split at white space and around every
// punctuation character. The options leave out single steps.
// Source: huggingface/tokenizers, normalizers/bert.rs, pre_tokenizers/bert.rs.
#pragma once

#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"

namespace muster {

struct BertOptions {
  bool split_ideographs = true;
  bool strip_accents = true;
  bool lower_case = true;
  bool clean = true;
  bool operator==(const BertOptions&) const = default;
};

// Calls `word` with each word of the text, cleaned, in order. Bytes that are not UTF-8 count as U+FFFD.
void ForEachBertWord(std::string_view utf8, const BertOptions& options,
                     absl::FunctionRef<void(std::string_view word)> word);

// Only the normalizer. Bytes that are not UTF-8 count as U+FFFD.
std::string NormalizeForBert(std::string_view utf8, const BertOptions& options);
// Only the pre-tokenizer. `text` must be UTF-8; the words are parts of it.
void SplitForBert(std::string_view text, absl::FunctionRef<void(std::string_view word)> word);

}  // namespace muster
