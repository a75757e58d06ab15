// SentencePiece's model file (sentencepiece.bpe.model) of XLM-R and similar models, for folders without tokenizer.json.
// Source: google/sentencepiece, sentencepiece_model.proto; transformers 5, XLMRobertaConverter.
#pragma once

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "coordinator/data/tokenize/tokenizer.h"

namespace muster {

// The ids of XLMRobertaTokenizer: <s>, <pad>, </s>, <unk>, then the pieces of the model except its first three, then <mask>.
// INVALID_ARGUMENT if it is not a Unigram model.
absl::StatusOr<std::shared_ptr<const Tokenizer>> TokenizerOfSentencePiece(std::string_view model,
                                                                          bool truncates_left = false);

}  // namespace muster
