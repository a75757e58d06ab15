#include "coordinator/data/store/digest_index.h"

#include "absl/hash/hash.h"
#include "common/digest.h"

namespace muster {
namespace {

uint32_t HashOf(const Digest128& digest) {
  uint64_t halves[2];
  std::memcpy(halves, digest.data(), sizeof(halves));
  return static_cast<uint32_t>(absl::HashOf(halves[0], halves[1]) >> 32);
}

}  // namespace

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

size_t DigestIndex::SlotOf(const Digest128& digest, uint32_t hash) const {
  size_t index = Begin(hash);
  while (slots_[index].number_and_one != 0) {
    if (slots_[index].hash == hash && (*this)[slots_[index].number_and_one - 1] == digest) break;
    index = index + 1 == slots_.size() ? 0 : index + 1;
  }
  return index;
}

std::pair<uint32_t, bool> DigestIndex::Insert(const Digest128& digest) {
  const uint32_t hash = HashOf(digest);
  const size_t index = SlotOf(digest, hash);
  if (slots_[index].number_and_one != 0) return {slots_[index].number_and_one - 1, false};
  if (size_ % kChunk == 0) chunks_.push_back(std::make_unique<Digest128[]>(kChunk));
  chunks_.back()[size_ % kChunk] = digest;
  slots_[index] = {hash, ++size_};
  if (uint64_t{size_} * 4 > uint64_t{slots_.size()} * 3) Grow();
  return {size_ - 1, true};
}

std::optional<uint32_t> DigestIndex::Find(const Digest128& digest) const {
  const Slot& slot = slots_[SlotOf(digest, HashOf(digest))];
  return slot.number_and_one == 0 ? std::nullopt : std::optional<uint32_t>(slot.number_and_one - 1);
}

void DigestIndex::Grow() {
  std::vector<Slot> before(slots_.size() * 2);
  before.swap(slots_);
  for (const Slot& slot : before) {
    if (slot.number_and_one == 0) continue;
    size_t index = Begin(slot.hash);
    while (slots_[index].number_and_one != 0) index = index + 1 == slots_.size() ? 0 : index + 1;
    slots_[index] = slot;
  }
}

}  // namespace muster
