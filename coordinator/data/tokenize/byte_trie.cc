#include "coordinator/data/tokenize/byte_trie.h"

#include <algorithm>

namespace muster {

// Builds the trie level by level: a node is the range of sorted keys that begin with its path.
ByteTrie::ByteTrie(std::vector<std::pair<std::string_view, uint32_t>> keys) {
  constexpr uint16_t kFewChildren = 6;
  std::ranges::sort(keys);
  struct Range {
    size_t begin, end, depth;
  };
  std::vector<Range> ranges = {{0, keys.size(), 0}};
  for (uint32_t node = 0; node < nodes_.size(); ++node) {
    auto [begin, end, depth] = ranges[node];
    if (begin < end && keys[begin].first.size() == depth) nodes_[node].value = keys[begin++].second;
    nodes_[node].first_child = static_cast<uint32_t>(nodes_.size());
    while (begin < end) {
      const char label = keys[begin].first[depth];
      size_t next = begin;
      while (next < end && keys[next].first[depth] == label) ++next;
      Node child;
      child.label = static_cast<uint8_t>(label);
      nodes_.push_back(child);
      ranges.push_back({begin, next, depth + 1});
      ++nodes_[node].children;
      begin = next;
    }
    if (nodes_[node].children <= kFewChildren) continue;
    nodes_[node].table = static_cast<uint32_t>(tables_.size());
    tables_.resize(tables_.size() + 256, kNone);
    for (uint32_t i = 0; i < nodes_[node].children; ++i) {
      const uint32_t child = nodes_[node].first_child + i;
      tables_[nodes_[node].table + nodes_[child].label] = child;
    }
  }
}

}  // namespace muster
