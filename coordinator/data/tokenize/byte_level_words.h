// Adapts a model that handles only characters to words of bytes, by writing bytes as characters (ByteLevel).
#pragma once

#include <memory>
#include <utility>

#include "coordinator/data/tokenize/byte_level.h"
#include "coordinator/data/tokenize/model.h"

namespace muster {

class ByteLevelWords : public TokenModel {
 public:
  explicit ByteLevelWords(std::unique_ptr<const TokenModel> model) : model_(std::move(model)) {}
  void Encode(std::string_view word, std::vector<uint32_t>& ids) const override {
    model_->Encode(ToByteCharacters(word), ids);
  }
  const Vocabulary& vocabulary() const override { return model_->vocabulary(); }

 private:
  const std::unique_ptr<const TokenModel> model_;
};

inline std::unique_ptr<const TokenModel> WithByteCharacters(std::unique_ptr<const TokenModel> model) {
  return std::make_unique<ByteLevelWords>(std::move(model));
}

}  // namespace muster
