// The pieces of a text on their way from the normalizer to the model.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace muster {

struct Piece {
  std::string_view text;  // UTF-8, never empty
  bool first = false;     // begins where the whole text begins
};

// A list of pieces. Owns the texts of pieces that a step rewrote. Used by one thread.
class Pieces {
 public:
  void Clear() {
    list_.clear();
    large_.clear();
    used_blocks_ = 0;
    used_ = kBlock;
  }
  std::vector<Piece>& list() { return list_; }
  std::vector<Piece>& spare() { return spare_; }  // a step builds its new list here and swaps it in

  // Copies the bytes; the copy lives until Clear().
  std::string_view Keep(std::string_view bytes) {
    if (bytes.size() > kBlock) {
      large_.push_back(std::make_unique<std::string>(bytes));
      return *large_.back();
    }
    if (used_ + bytes.size() > kBlock) {
      if (used_blocks_ == blocks_.size()) blocks_.push_back(std::make_unique<char[]>(kBlock));
      ++used_blocks_;
      used_ = 0;
    }
    char* copy = blocks_[used_blocks_ - 1].get() + used_;
    used_ += bytes.size();
    bytes.copy(copy, bytes.size());
    return {copy, bytes.size()};
  }

 private:
  static constexpr size_t kBlock = 1 << 16;
  std::vector<Piece> list_, spare_;
  std::vector<std::unique_ptr<char[]>> blocks_;
  std::vector<std::unique_ptr<std::string>> large_;
  size_t used_blocks_ = 0, used_ = kBlock;
};

}  // namespace muster
