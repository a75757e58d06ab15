// Names of documents and queries when two datasets are merged: names that users gave, and names that an import gave.
#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "common/view.h"

namespace muster {

inline constexpr uint32_t kAbsent = std::numeric_limits<uint32_t>::max();

// Rows without ids are named after their positions (docs/reference/data-schemas.md): p1, p2, … and q1, q2, …
inline bool IsGiven(std::string_view id, char letter, uint32_t index) {
  return ToAbsl(id) == absl::StrCat(std::string(1, letter), uint64_t{index} + 1);
}

// The names of one kind in the merged dataset and their records; makes new names for records without a user's id.
class Names {
 public:
  explicit Names(char letter) : letter_(letter) {}
  // `id` must outlive this.
  void Take(std::string_view id, uint32_t index) { indices_.emplace(ToAbsl(id), index); }
  uint32_t Find(std::string_view id) const {
    const auto found = indices_.find(ToAbsl(id));
    return found == indices_.end() ? kAbsent : found->second;
  }
  // The name for position `index`, or the next free one.
  std::string_view TakeNew(uint32_t index) {
    uint64_t number = uint64_t{index} + 1;
    std::string id = absl::StrCat(std::string(1, letter_), number);
    while (indices_.contains(id)) id = absl::StrCat(std::string(1, letter_), ++number);
    new_.push_back(std::move(id));
    Take(new_.back(), index);
    return new_.back();
  }

 private:
  const char letter_;
  std::deque<std::string> new_;
  absl::flat_hash_map<absl::string_view, uint32_t> indices_;
};

}  // namespace muster
