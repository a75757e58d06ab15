// vocab.txt: the vocabulary of a BERT model, for folders without tokenizer.json.
#pragma once

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "coordinator/data/tokenize/bert_words.h"
#include "coordinator/data/tokenize/tokenizer.h"

namespace muster {

// `vocab_txt`: the bytes of vocab.txt, one entry per line; the line's number (from 0) is its id. The special tokens
// [PAD], [UNK], [CLS], [SEP] and [MASK] are found in the text only in this form. INVALID_ARGUMENT if one of the first
// four is missing, or the vocabulary is not UTF-8.
absl::StatusOr<std::shared_ptr<const Tokenizer>> TokenizerOfVocabulary(std::string_view vocab_txt,
                                                                       const BertOptions& options,
                                                                       bool truncates_left = false);

// With BERT's usual options: lowered and stripped of accents, or neither.
absl::StatusOr<std::shared_ptr<const Tokenizer>> TokenizerOfVocabulary(std::string_view vocab_txt, bool lower_case);

}  // namespace muster
