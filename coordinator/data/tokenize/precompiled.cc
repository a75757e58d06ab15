#include "coordinator/data/tokenize/precompiled.h"

#include <cstring>

#include "coordinator/data/tokenize/graphemes.h"
#include "coordinator/data/tokenize/utf8.h"

namespace muster {
namespace {

// A unit of a double array of darts-clone.
bool HasLeaf(uint32_t unit) { return (unit >> 8 & 1) == 1; }
uint32_t Value(uint32_t unit) { return unit & 0x7FFFFFFF; }
uint32_t Label(uint32_t unit) { return unit & 0x800000FF; }
uint32_t Offset(uint32_t unit) { return unit >> 10 << ((unit & 0x200) >> 6); }

}  // namespace

absl::StatusOr<std::unique_ptr<const Precompiled>> Precompiled::Create(std::string_view charsmap) {
  const absl::Status broken = absl::InvalidArgumentError("the character map is broken");
  uint32_t trie_bytes;
  if (charsmap.size() < sizeof trie_bytes) return broken;
  std::memcpy(&trie_bytes, charsmap.data(), sizeof trie_bytes);
  charsmap.remove_prefix(sizeof trie_bytes);
  if (trie_bytes == 0 || trie_bytes % 4 != 0 || trie_bytes > charsmap.size()) return broken;
  std::unique_ptr<Precompiled> map(new Precompiled());
  map->trie_.resize(trie_bytes / 4);
  std::memcpy(map->trie_.data(), charsmap.data(), trie_bytes);
  map->replacements_ = charsmap.substr(trie_bytes);
  if (!IsUtf8(map->replacements_)) return broken;
  return map;
}

std::optional<std::string_view> Precompiled::Transform(std::string_view chunk) const {
  size_t node = Offset(trie_[0]);
  for (const char byte : chunk) {
    const auto label = static_cast<unsigned char>(byte);
    if (label == 0) return std::nullopt;
    node ^= label;
    if (node >= trie_.size() || Label(trie_[node]) != label) return std::nullopt;
    const uint32_t unit = trie_[node];
    node ^= Offset(unit);
    if (!HasLeaf(unit)) continue;
    if (node >= trie_.size()) return std::nullopt;
    const size_t begin = Value(trie_[node]);
    if (begin >= replacements_.size() || IsContinuation(replacements_[begin])) return std::nullopt;
    return std::string_view(replacements_).substr(begin, replacements_.find('\0', begin) - begin);
  }
  return std::nullopt;
}

absl::StatusOr<bool> Precompiled::Apply(std::string& text) const {
  constexpr size_t kLongestCluster = 5;  // bytes; longer clusters are looked up one character at a time
  std::string result;
  result.reserve(text.size());
  const std::string_view view = text;
  for (size_t begin = 0; begin < view.size();) {
    // Most characters are ASCII, and of those only line ends combine with others.
    const bool ascii =
        IsAscii(view[begin]) && view[begin] != '\r' && (begin + 1 == view.size() || IsAscii(view[begin + 1]));
    const size_t end = ascii ? begin + 1 : EndOfGrapheme(view, begin);
    if (end - begin <= kLongestCluster) {
      if (const auto replacement = Transform(view.substr(begin, end - begin)); replacement.has_value()) {
        result += *replacement;
        begin = end;
        continue;
      }
    }
    while (begin < end) {
      size_t next = begin;
      NextCodePoint(view, next);
      const std::string_view character = view.substr(begin, next - begin);
      result += Transform(character).value_or(character);
      begin = next;
    }
  }
  text = std::move(result);
  return true;
}

}  // namespace muster
