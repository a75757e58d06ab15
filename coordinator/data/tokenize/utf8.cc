#include "coordinator/data/tokenize/utf8.h"

#include <algorithm>
#include <cstring>

namespace muster {

bool IsUtf8(std::string_view text) {
  const auto size = static_cast<int64_t>(text.size());
  int64_t i = 0;
  while (i + 8 <= size) {  // fast path, because most text is ASCII
    uint64_t word;
    std::memcpy(&word, text.data() + i, sizeof word);
    if ((word & 0x8080808080808080u) != 0) break;
    i += 8;
  }
  while (i < size) {
    UChar32 c;
    U8_NEXT(text.data(), i, size, c);
    if (c < 0) return false;
  }
  return true;
}

std::string RepairUtf8(std::string_view text) {
  std::string repaired;
  const auto size = static_cast<int64_t>(text.size());
  for (int64_t i = 0; i < size;) {
    UChar32 c;
    U8_NEXT_OR_FFFD(text.data(), i, size, c);
    AppendUtf8(c, repaired);
  }
  return repaired;
}

size_t CountCodePoints(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return !IsContinuation(c); });
}

}  // namespace muster
