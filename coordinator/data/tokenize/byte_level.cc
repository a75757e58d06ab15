#include "coordinator/data/tokenize/byte_level.h"

#include "coordinator/data/tokenize/utf8.h"

namespace muster {

const std::array<std::string, 256>& ByteCharacters() {
  static const auto characters = [] {
    std::array<std::string, 256> all;
    UChar32 next = 256;
    for (int byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
      AppendUtf8(printable ? byte : next++, all[byte]);
    }
    return all;
  }();
  return characters;
}

std::string ToByteCharacters(std::string_view bytes) {
  std::string result;
  result.reserve(bytes.size() * 2);
  for (const char byte : bytes) result += ByteCharacters()[static_cast<unsigned char>(byte)];
  return result;
}

}  // namespace muster
