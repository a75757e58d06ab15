// The model of a tokenizer: it cuts the words that the pre-tokenizer found into entries of the vocabulary.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/node_hash_map.h"
#include "coordinator/data/tokenize/string_key.h"

namespace muster {

// Token → id; ids need not be dense. The addresses of tokens are stable, also when the vocabulary is moved.
class Vocabulary {
 public:
  using Map = absl::node_hash_map<std::string, uint32_t, StringKeyHash, StringKeyEqual>;

  void Add(std::string token, uint32_t id) { ids_.insert_or_assign(std::move(token), id); }  // replaces an earlier entry
  std::optional<uint32_t> Find(std::string_view token) const {
    const auto found = ids_.find(token);
    return found == ids_.end() ? std::nullopt : std::optional(found->second);
  }
  size_t size() const { return ids_.size(); }
  const Map& map() const { return ids_; }

 private:
  Map ids_;
};

// Thread-safe: immutable.
class TokenModel {
 public:
  virtual ~TokenModel() = default;
  // Appends the ids of one word, which is UTF-8.
  virtual void Encode(std::string_view word, std::vector<uint32_t>& ids) const = 0;
  virtual const Vocabulary& vocabulary() const = 0;
};

}  // namespace muster
