// SentencePiece's compiled character map: a trie of UTF-8 prefixes and their replacements.
// Source: crate spm_precompiled; huggingface/tokenizers, normalizers/precompiled.rs.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/data/tokenize/normalizer.h"

namespace muster {

class Precompiled : public Normalizer {
 public:
  // `charsmap`: the trie's size in bytes (uint32, little-endian), the trie, then the replacements, each ended by NUL.
  static absl::StatusOr<std::unique_ptr<const Precompiled>> Create(std::string_view charsmap);

  absl::StatusOr<bool> Apply(std::string& text) const override;

 private:
  Precompiled() = default;
  // The replacement of the shortest entry that `chunk` begins with.
  std::optional<std::string_view> Transform(std::string_view chunk) const;

  std::vector<uint32_t> trie_;
  std::string replacements_;
};

}  // namespace muster
