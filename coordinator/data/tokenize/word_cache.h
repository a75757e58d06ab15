// The ids of words that a thread has seen, so that each word is cut once.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "coordinator/data/tokenize/string_key.h"

namespace muster {

// Bounded: when it is full, it is emptied. Used by one thread.
class WordCache {
 public:
  // Appends the ids of `word`; if it is not cached, `encode(word, ids)` computes them.
  template <typename Encode>
  void Append(std::string_view word, std::vector<uint32_t>& ids, Encode encode) {
    if (word.size() > kLongestWord) return encode(word, ids);
    if (const auto found = words_.find(word); found != words_.end()) {
      const uint32_t* first = pool_.data() + found->second.begin;
      ids.insert(ids.end(), first, first + found->second.count);
      return;
    }
    const size_t before = ids.size();
    encode(word, ids);
    if (words_.size() >= kMostWords) {
      words_.clear();
      pool_.clear();
    }
    const auto count = static_cast<uint32_t>(ids.size() - before);
    words_.emplace(word, Ids{static_cast<uint32_t>(pool_.size()), count});
    pool_.insert(pool_.end(), ids.begin() + static_cast<ptrdiff_t>(before), ids.end());
  }

 private:
  static constexpr size_t kLongestWord = 64, kMostWords = 1 << 17;
  struct Ids {
    uint32_t begin, count;
  };
  absl::flat_hash_map<std::string, Ids, StringKeyHash, StringKeyEqual> words_;
  std::vector<uint32_t> pool_;
};

// The calling thread's cache for the tokenizer of this number. A thread keeps one cache: the last tokenizer's.
WordCache& CacheOfThread(uint64_t tokenizer);
uint64_t NextTokenizerNumber();

}  // namespace muster
