// A map that remembers the newest entries: beyond its capacity each new one replaces the oldest.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <utility>

namespace muster {

// Not thread-safe. Copyable.
template <typename Key, typename Value>
class RecentMap {
 public:
  explicit RecentMap(size_t capacity) : capacity_(capacity) {}

  // Null if the key is not remembered.
  const Value* Find(const Key& key) const {
    const auto found = values_.find(key);
    return found == values_.end() ? nullptr : &found->second;
  }

  // Replaces the value of a known key, whose age does not change.
  void Insert(const Key& key, Value value) {
    const auto [place, is_new] = values_.insert_or_assign(key, std::move(value));
    if (!is_new) return;
    order_.push_back(key);
    if (order_.size() <= capacity_) return;
    values_.erase(order_.front());
    order_.pop_front();
  }

  size_t size() const { return values_.size(); }

 private:
  size_t capacity_;
  std::map<Key, Value> values_;
  std::deque<Key> order_;  // oldest first
};

}  // namespace muster
