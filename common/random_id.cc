#include "common/random_id.h"

#include <openssl/rand.h>

namespace muster {

std::string RandomId() {
  static constexpr char kLetters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::string id;
  while (id.size() < 8) {
    unsigned char byte = 0;
    if (RAND_bytes(&byte, 1) != 1) continue;
    const int range = id.empty() ? 26 : 36;
    if (byte < 256 / range * range) id.push_back(kLetters[byte % range]);
  }
  return id;
}

}  // namespace muster
