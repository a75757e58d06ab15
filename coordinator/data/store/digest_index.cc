#include "coordinator/data/store/digest_index.h"

#include "common/digest.h"

namespace muster {

Digest128 DigestOfId(std::string_view id) {
  Digest128 digest{};
  if (id.size() < digest.size()) {
    std::memcpy(digest.data(), id.data(), id.size());
    digest.back() = static_cast<uint8_t>(id.size());
  } else {
    digest = HalfOf(Sha256Bytes(id));
    digest.back() = 0xFF;
  }
  return digest;
}

}  // namespace muster
