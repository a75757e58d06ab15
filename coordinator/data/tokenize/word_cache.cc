#include "coordinator/data/tokenize/word_cache.h"

#include <atomic>

namespace muster {

WordCache& CacheOfThread(uint64_t tokenizer) {
  thread_local uint64_t owner = 0;
  thread_local WordCache cache;
  if (owner != tokenizer) {
    cache = WordCache();
    owner = tokenizer;
  }
  return cache;
}

uint64_t NextTokenizerNumber() {
  static std::atomic<uint64_t> last = 0;
  return ++last;
}

}  // namespace muster
