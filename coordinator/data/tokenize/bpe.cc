#include "coordinator/data/tokenize/bpe.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "coordinator/data/tokenize/byte_level.h"
#include "coordinator/data/tokenize/utf8.h"

namespace muster {
namespace {

constexpr UChar32 kTableSize = 0x10000;
constexpr uint32_t kNoId = UINT32_MAX;  // ids of vocabularies are smaller
constexpr uint64_t kNoPair = UINT64_MAX;

// Sorts candidates, which are ascending in position, by rank < ranks; without comparisons if there are many.
void SortByRank(size_t ranks, std::vector<uint64_t>& candidates) {
  constexpr int kBits = 11;
  constexpr size_t kFew = 256, kPlaces = size_t{1} << kBits;
  if (candidates.size() < kFew) {
    std::ranges::sort(candidates);
    return;
  }
  thread_local std::vector<uint64_t> sorted;
  for (int shift = 32; shift < 32 + std::bit_width(ranks); shift += kBits) {
    std::array<uint32_t, kPlaces> next{};
    for (const uint64_t candidate : candidates) ++next[candidate >> shift & (kPlaces - 1)];
    std::exclusive_scan(next.begin(), next.end(), next.begin(), uint32_t{0});
    sorted.resize(candidates.size());
    for (const uint64_t candidate : candidates) sorted[next[candidate >> shift & (kPlaces - 1)]++] = candidate;
    candidates.swap(sorted);
  }
}

size_t PlaceOf(uint64_t pair, int shift) { return (pair * 0x9E3779B97F4A7C15u) >> shift; }

}  // namespace

class Bpe::Symbols {
 public:
  void Clear() { list_.clear(); }
  void Add(uint32_t id) {
    const auto index = static_cast<int32_t>(list_.size());
    if (index > 0) list_.back().next = index;
    list_.push_back({.id = id, .previous = index - 1, .next = -1, .merged_away = false});
  }
  std::vector<Symbol>& list() { return list_; }

 private:
  std::vector<Symbol> list_;
};

absl::StatusOr<std::unique_ptr<const Bpe>> Bpe::Create(Vocabulary vocabulary, const Merges& merges, Options options) {
  std::unique_ptr<Bpe> model(new Bpe(std::move(vocabulary), std::move(options)));
  const Vocabulary& tokens = model->vocabulary_;
  const size_t prefix = model->options_.continuing_prefix.size();
  absl::flat_hash_map<uint64_t, uint32_t> ranks;  // of pairs; if a pair occurs twice, the last rank counts
  for (uint32_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    const auto left_id = tokens.Find(left), right_id = tokens.Find(right);
    std::optional<uint32_t> id;
    if (right.size() >= prefix) id = tokens.Find(absl::StrCat(left, right.substr(prefix)));
    if (!left_id.has_value() || !right_id.has_value() || !id.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat("merges[", rank, "]: the vocabulary lacks \"", left, "\", \"", right, "\" or what they make"));
    }
    ranks[uint64_t{*left_id} << 32 | *right_id] = rank;
    model->made_ids_.push_back(id.value_or(kNoId));
  }
  model->MakeTable(ranks);
  if (model->options_.unk_token.has_value()) {
    const auto unk = tokens.Find(*model->options_.unk_token);
    if (!unk.has_value()) {
      return absl::InvalidArgumentError(absl::StrCat("the vocabulary has no entry ", *model->options_.unk_token));
    }
    model->unk_ = *unk;
  }
  model->character_ids_.assign(kTableSize, kNoId);
  for (const auto& [token, id] : tokens.map()) {
    size_t end = 0;
    const UChar32 c = token.empty() ? kTableSize : NextCodePoint(token, end);
    if (c < kTableSize && end == token.size()) model->character_ids_[c] = id;
  }
  for (int byte = 0; byte < 256; ++byte) {
    model->byte_ids_[byte] = tokens.Find(ByteCharacters()[byte]);
    model->fallback_ids_[byte] = tokens.Find(absl::StrFormat("<0x%02X>", byte));
  }
  return model;
}

void Bpe::Encode(std::string_view word, std::vector<uint32_t>& ids) const {
  if (word.empty()) return;
  thread_local Symbols symbols;
  symbols.Clear();
  if (options_.byte_level) {
    if (options_.ignore_merges) {
      if (const auto id = vocabulary_.Find(ToByteCharacters(word)); id.has_value()) return ids.push_back(*id);
    }
    if (!FillBytes(word, symbols)) FillSymbols(ToByteCharacters(word), symbols);
  } else {
    if (options_.ignore_merges) {
      if (const auto id = vocabulary_.Find(word); id.has_value()) return ids.push_back(*id);
    }
    FillSymbols(word, symbols);
  }
  MergeAll(symbols);
  for (const Symbol& symbol : symbols.list()) {
    if (!symbol.merged_away) ids.push_back(symbol.id);
  }
}

// The common case, in which each byte is an entry of the vocabulary. False, without adding a symbol, if it is not.
bool Bpe::FillBytes(std::string_view word, Symbols& symbols) const {
  if (!options_.continuing_prefix.empty() || !options_.end_of_word_suffix.empty()) return false;
  for (const char byte : word) {
    const auto& id = byte_ids_[static_cast<unsigned char>(byte)];
    if (!id.has_value()) {
      symbols.Clear();
      return false;
    }
    symbols.Add(*id);
  }
  return true;
}

// The token of the character word[begin..end-1] in its position. If it has none, `buffer` holds its text.
std::optional<uint32_t> Bpe::IdOf(std::string_view word, size_t begin, size_t end, std::string& buffer) const {
  const bool marked = (begin > 0 && !options_.continuing_prefix.empty()) ||
                      (end == word.size() && !options_.end_of_word_suffix.empty());
  size_t i = begin;
  if (const UChar32 c = NextCodePoint(word, i); !marked && c < kTableSize && character_ids_[c] != kNoId) {
    return character_ids_[c];
  }
  buffer.clear();
  if (begin > 0) buffer = options_.continuing_prefix;
  buffer += word.substr(begin, end - begin);
  if (end == word.size()) buffer += options_.end_of_word_suffix;
  return vocabulary_.Find(buffer);
}

void Bpe::FillSymbols(std::string_view word, Symbols& symbols) const {
  int unknown =
      0;  // unknown tokens that are not added yet: as in the source, they come after the bytes that follow them
  const auto add_unknown = [&] {
    if (unknown > 0) symbols.Add(unk_);
    unknown = 0;
  };
  std::string character;
  for (size_t i = 0; i < word.size();) {
    const size_t begin = i;
    NextCodePoint(word, i);
    if (const auto id = IdOf(word, begin, i, character); id.has_value()) {
      add_unknown();
      symbols.Add(*id);
    } else if (options_.byte_fallback && AddFallback(character, symbols)) {
      continue;
    } else if (options_.unk_token.has_value()) {
      if (!options_.fuse_unk) add_unknown();
      unknown = 1;
    }
  }
  add_unknown();
}

bool Bpe::AddFallback(std::string_view character, Symbols& symbols) const {
  const auto id_of = [this](char byte) { return fallback_ids_[static_cast<unsigned char>(byte)]; };
  if (!std::ranges::all_of(character, [&](char byte) { return id_of(byte).has_value(); })) return false;
  for (const char byte : character) symbols.Add(*id_of(byte));
  return true;
}

void Bpe::MakeTable(const absl::flat_hash_map<uint64_t, uint32_t>& ranks) {
  int bits = 4;
  while ((size_t{1} << bits) < 2 * ranks.size()) ++bits;
  merges_.resize(size_t{1} << bits);
  merges_shift_ = 64 - bits;
  for (const auto& [pair, rank] : ranks) {
    size_t i = PlaceOf(pair, merges_shift_);
    while (merges_[i].pair != kNoPair) i = (i + 1) & (merges_.size() - 1);
    merges_[i] = {pair, rank, made_ids_[rank]};
  }
}

const Bpe::Merge* Bpe::Find(uint32_t left, uint32_t right) const {
  const uint64_t pair = uint64_t{left} << 32 | right;
  for (size_t i = PlaceOf(pair, merges_shift_); merges_[i].pair != kNoPair; i = (i + 1) & (merges_.size() - 1)) {
    if (merges_[i].pair == pair) return &merges_[i];
  }
  return nullptr;
}

// The lowest rank first, then the leftmost. A candidate whose pair has changed is dropped unless the new pair makes the
// same token: the source does the same, and the order of later merges depends on it. A candidate is a rank and a
// position. The initial ones, which are most, are sorted once; those that merges create wait in a heap.
void Bpe::MergeAll(Symbols& symbols) const {
  thread_local std::vector<uint64_t> first, later;
  first.clear();
  later.clear();
  std::vector<Symbol>& list = symbols.list();
  const auto add = [&](int32_t left, int32_t right, std::vector<uint64_t>& candidates) {
    const Merge* merge = Find(list[left].id, list[right].id);
    list[left].joined = merge == nullptr ? kNoId : merge->id;
    if (merge != nullptr) candidates.push_back(uint64_t{merge->rank} << 32 | static_cast<uint32_t>(left));
    return merge != nullptr;
  };
  const auto push = [&](int32_t left, int32_t right) {
    if (add(left, right, later)) std::ranges::push_heap(later, std::greater());
  };
  for (int32_t i = 0; i + 1 < static_cast<int32_t>(list.size()); ++i) add(i, i + 1, first);
  SortByRank(made_ids_.size(), first);
  for (size_t next = 0; next < first.size() || !later.empty();) {
    uint64_t candidate;
    if (later.empty() || (next < first.size() && first[next] < later.front())) {
      candidate = first[next++];
    } else {
      candidate = later.front();
      std::ranges::pop_heap(later, std::greater());
      later.pop_back();
    }
    const auto index = static_cast<int32_t>(candidate & UINT32_MAX);
    Symbol& left = list[index];
    if (left.merged_away || left.next < 0 || left.joined != made_ids_[candidate >> 32]) continue;
    Symbol& right = list[left.next];
    left.id = left.joined;
    left.next = right.next;
    right.merged_away = true;
    if (left.next >= 0) list[left.next].previous = index;
    if (left.previous >= 0) push(left.previous, index);
    if (left.next >= 0) push(index, left.next);
  }
}

}  // namespace muster
