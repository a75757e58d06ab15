// Finds the keys that a text begins with.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace muster {

// A trie over bytes. A node with many children has a table of them, the others a sorted list. Immutable once built.
class ByteTrie {
 public:
  ByteTrie() = default;
  explicit ByteTrie(std::vector<std::pair<std::string_view, uint32_t>> keys);  // all different

  // Calls `found` with length and value of each key that `text` begins with, the shortest first.
  template <typename Found>
  void ForEachPrefix(std::string_view text, Found found) const {
    uint32_t node = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      node = Child(node, static_cast<unsigned char>(text[i]));
      if (node == kNone) return;
      if (nodes_[node].value != kNone) found(i + 1, nodes_[node].value);
    }
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Node {
    uint32_t value = kNone;
    uint32_t first_child = 0;  // children are consecutive nodes
    uint32_t table = kNone;    // into tables_
    uint16_t children = 0;
    uint8_t label = 0;
  };

  uint32_t Child(uint32_t node, uint8_t label) const {
    const Node& parent = nodes_[node];
    if (parent.table != kNone) return tables_[parent.table + label];
    for (uint32_t child = parent.first_child, end = child + parent.children; child < end; ++child) {
      if (nodes_[child].label == label) return child;
    }
    return kNone;
  }

  std::vector<Node> nodes_ = {Node()};
  std::vector<uint32_t> tables_;
};

}  // namespace muster
