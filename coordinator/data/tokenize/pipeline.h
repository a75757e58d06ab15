// A tokenizer made of parts: added tokens, normalizer, pre-tokenizer and model.
// Source: huggingface/tokenizers, tokenizer/mod.rs.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "coordinator/data/tokenize/added_tokens.h"
#include "coordinator/data/tokenize/bert_words.h"
#include "coordinator/data/tokenize/model.h"
#include "coordinator/data/tokenize/normalizer.h"
#include "coordinator/data/tokenize/pre_tokenizer.h"
#include "coordinator/data/tokenize/tokenizer.h"

namespace muster {

class Pipeline : public Tokenizer {
 public:
  struct Parts {
    std::vector<AddedToken> added;                 // their `normalized` says where each is searched for
    std::unique_ptr<const Normalizer> normalizer;  // may be null
    PreTokenizer pre_tokenizer;                    // without steps: the model sees the whole text
    std::optional<BertOptions> bert;               // instead of both of the above
    std::unique_ptr<const TokenModel> model;
  };
  Pipeline(Parts parts, Facts facts);

  absl::Status Encode(std::string_view utf8, std::vector<uint32_t>& ids) const override;
  bool SplitsAfter(std::string_view prompt) const override;

 private:
  void EncodeForBert(std::string_view text, std::vector<uint32_t>& ids) const;
  absl::Status EncodeBetweenTokens(std::string_view text, bool first, std::vector<uint32_t>& ids) const;
  absl::Status EncodeNormalized(std::string_view text, bool first, std::vector<uint32_t>& ids) const;

  const Parts parts_;
  const AddedTokens in_text_, in_normalized_text_;
  const bool tokens_have_space_;
  const uint64_t number_;
};

}  // namespace muster
