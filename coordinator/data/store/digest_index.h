// Numbers for digests and ids, in little memory: an import of millions of documents holds each once.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_set.h"

namespace muster {

using Digest128 = std::array<uint8_t, 16>;

// The first half of a SHA-256.
inline Digest128 HalfOf(const std::array<uint8_t, 32>& digest) {
  Digest128 half;
  std::memcpy(half.data(), digest.data(), half.size());
  return half;
}

// A short id as it is, with its length at the end; of a longer one 15 bytes of its SHA-256, with 255 at the end.
Digest128 DigestOfId(std::string_view id);

// Not thread-safe. Distinct digests get the numbers 0, 1, … in the order in which they come. 16 bytes each, and about 8 of
// the table.
class DigestIndex {
 public:
  // The digest's number, and whether it is new.
  std::pair<uint32_t, bool> Insert(const Digest128& digest) {
    pending_ = &digest;
    const auto [found, is_new] = numbers_.insert(kPending);
    if (!is_new) return {*found, false};
    const uint32_t number = size();
    digests_.push_back(digest);
    // The hash of the entry stays as it was, so the entry may take the number that was given now.
    const_cast<uint32_t&>(*found) = number;
    return {number, true};
  }
  std::optional<uint32_t> Find(const Digest128& digest) const {
    pending_ = &digest;
    const auto found = numbers_.find(kPending);
    return found == numbers_.end() ? std::nullopt : std::optional<uint32_t>(*found);
  }
  const Digest128& operator[](uint32_t number) const { return digests_[number]; }
  uint32_t size() const { return static_cast<uint32_t>(digests_.size()); }

  DigestIndex() : numbers_(0, Hash{this}, Equal{this}) {}
  DigestIndex(const DigestIndex&) = delete;
  DigestIndex& operator=(const DigestIndex&) = delete;

 private:
  static constexpr uint32_t kPending = 0xFFFFFFFF;  // stands for *pending_
  const Digest128& DigestOf(uint32_t number) const { return number == kPending ? *pending_ : digests_[number]; }
  struct Hash {
    const DigestIndex* index;
    size_t operator()(uint32_t number) const {
      const Digest128& digest = index->DigestOf(number);
      uint64_t halves[2];
      std::memcpy(halves, digest.data(), sizeof(halves));
      return absl::HashOf(halves[0], halves[1]);
    }
  };
  struct Equal {
    const DigestIndex* index;
    bool operator()(uint32_t a, uint32_t b) const { return index->DigestOf(a) == index->DigestOf(b); }
  };

  std::deque<Digest128> digests_;
  mutable const Digest128* pending_ = nullptr;
  absl::flat_hash_set<uint32_t, Hash, Equal> numbers_;
};

}  // namespace muster
