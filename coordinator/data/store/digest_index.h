// Numbers for digests and ids in little memory: an import of millions of documents holds each of them once.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace muster {

using Digest128 = std::array<uint8_t, 16>;

// The first half of a SHA-256.
inline Digest128 HalfOf(const std::array<uint8_t, 32>& digest) {
  Digest128 half;
  std::memcpy(half.data(), digest.data(), half.size());
  return half;
}

// A short id unchanged, with its length in the last byte; 15 bytes of the SHA-256 of a longer one, with 255 in the last
// byte.
Digest128 DigestOfId(std::string_view id);

// Not thread-safe. Distinct digests get the numbers 0, 1, … in the order in which they come. Each takes at most 16 bytes for
// the digest and 16 for the table. Growing the table does not read the digests.
class DigestIndex {
 public:
  DigestIndex() : slots_(kFirstSlots) {}

  // The digest's number, and whether it is new.
  std::pair<uint32_t, bool> Insert(const Digest128& digest);
  std::optional<uint32_t> Find(const Digest128& digest) const;
  const Digest128& operator[](uint32_t number) const { return chunks_[number / kChunk][number % kChunk]; }
  uint32_t size() const { return size_; }

 private:
  static constexpr size_t kFirstSlots = 1024, kChunk = 1 << 14;
  // Linear probing from the high bits of the hash, which the entry keeps, so that it distinguishes most other entries.
  struct Slot {
    uint32_t hash = 0;
    uint32_t number_and_one = 0;  // 0: free
  };
  size_t Begin(uint32_t hash) const { return static_cast<size_t>(uint64_t{hash} * slots_.size() >> 32); }
  // The digest's slot, or the free one where it would be inserted.
  size_t SlotOf(const Digest128& digest, uint32_t hash) const;
  void Grow();

  std::vector<std::unique_ptr<Digest128[]>> chunks_;
  uint32_t size_ = 0;
  std::vector<Slot> slots_;  // at most three quarters are taken
};

}  // namespace muster
