// Decides when to write which item. Items are the state on disk, and the journal holds the changes since then. Each byte of a
// journal entry allows two bytes of items to be written. So all that is written is at most three times the entries, and the
// journal is at most half as long as all items. Oldest changes come first, so that the journal's oldest entries can be dropped.
//
//   entries     a1 b1 a2 a3 c1 …       b and c are small, a is large
//   Next        none, until more than `least` entries wait; then a, as soon as its bytes are allowed; then b, …
//   covered     0 … 0; once a is written: the entry a1; once b is: those up to the first of c, or of a again
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace muster {

class ItemSchedule {
 public:
  // While at most this many entries wait, no item is written.
  explicit ItemSchedule(uint64_t least) : least_(least) {}

  void NoteEntry(const std::string& key, uint64_t sequence, uint64_t bytes);
  // The next item to write: the one that changed longest ago, if `size(key)` bytes are allowed. The caller writes its
  // state after the newest entry. `size` is called once per item.
  template <typename Size>
  std::optional<std::string> Next(Size size);

  // All entries up to this one are contained in items.
  uint64_t covered() const { return oldest_.empty() ? newest_ : oldest_.begin()->first - 1; }

 private:
  static constexpr uint64_t kPaid = 2;  // bytes of items that one byte of an entry allows

  const uint64_t least_;
  uint64_t newest_ = 0;  // sequence number of the newest entry
  uint64_t paid_ = 0;    // allowed bytes that are not used yet
  std::map<uint64_t, std::string> oldest_;   // oldest entry that the key's item does not contain → key
  std::map<std::string, uint64_t> changed_;  // the inverse of oldest_
  std::optional<uint64_t> next_size_;        // of the first of `oldest_`
};

template <typename Size>
std::optional<std::string> ItemSchedule::Next(Size size) {
  if (oldest_.empty() || newest_ - covered() <= least_) return std::nullopt;
  const auto first = oldest_.begin();
  if (!next_size_.has_value()) next_size_ = size(first->second);
  if (paid_ < *next_size_) return std::nullopt;
  paid_ -= *next_size_;
  next_size_.reset();
  std::string key = std::move(first->second);
  changed_.erase(key);
  oldest_.erase(first);
  return key;
}

}  // namespace muster
