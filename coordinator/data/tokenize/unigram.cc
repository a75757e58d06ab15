#include "coordinator/data/tokenize/unigram.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "coordinator/data/tokenize/utf8.h"

namespace muster {

absl::StatusOr<std::unique_ptr<const Unigram>> Unigram::Create(const Scores& scores, uint32_t unk,
                                                               bool byte_fallback) {
  if (unk >= scores.size()) {
    return absl::InvalidArgumentError(absl::StrCat("unk_id: ", unk, " is not in the vocabulary"));
  }
  std::unique_ptr<Unigram> model(new Unigram());
  double least = std::numeric_limits<double>::infinity();
  for (uint32_t id = 0; id < scores.size(); ++id) {
    model->vocabulary_.Add(scores[id].first, id);
    model->scores_.push_back(scores[id].second);
    least = std::min(least, scores[id].second);
  }
  constexpr double kUnkPenalty = 10.0;
  model->unk_score_ = least - kUnkPenalty;
  model->unk_ = unk;
  model->byte_fallback_ = byte_fallback;
  std::vector<std::pair<std::string_view, uint32_t>> keys;
  for (const auto& [token, id] : model->vocabulary_.map()) keys.emplace_back(token, id);
  model->trie_ = ByteTrie(std::move(keys));
  for (int byte = 0; byte < 256; ++byte) {
    model->fallback_ids_.push_back(model->vocabulary_.Find(absl::StrFormat("<0x%02X>", byte)));
  }
  return model;
}

void Unigram::Encode(std::string_view word, std::vector<uint32_t>& ids) const {
  struct Node {
    double score = 0;
    uint32_t begin = UINT32_MAX;  // the last token of the best path to here; none yet
    uint32_t id = 0;
  };
  thread_local std::vector<Node> best;  // indexed by where the path ends
  best.assign(word.size() + 1, Node());
  const auto offer = [&](size_t begin, size_t end, double score, uint32_t id) {
    Node& node = best[end];
    if (node.begin == UINT32_MAX || score > node.score) node = {score, static_cast<uint32_t>(begin), id};
  };
  for (size_t begin = 0, next = 0; begin < word.size(); begin = next) {
    NextCodePoint(word, next);
    const double score = best[begin].score;
    bool has_single = false;
    trie_.ForEachPrefix(word.substr(begin), [&](size_t size, uint32_t id) {
      offer(begin, begin + size, scores_[id] + score, id);
      has_single = has_single || size == next - begin;
    });
    if (!has_single) offer(begin, next, unk_score_ + score, unk_);
  }
  const size_t before = ids.size();
  size_t unknown_end = 0;  // of a run of unknown tokens, which become one
  for (size_t end = word.size(); end > 0;) {
    const Node& node = best[end];
    if (node.id == unk_) {
      if (unknown_end == 0) unknown_end = end;
      if (node.begin == 0 || best[node.begin].id != unk_) {
        AddUnknown(word.substr(node.begin, unknown_end - node.begin), ids);
        unknown_end = 0;
      }
    } else {
      ids.push_back(node.id);
    }
    end = node.begin;
  }
  std::reverse(ids.begin() + static_cast<ptrdiff_t>(before), ids.end());
}

// A run that happens to be a token, else its bytes if all of them have tokens, else the unknown token. From right to
// left.
void Unigram::AddUnknown(std::string_view text, std::vector<uint32_t>& reversed) const {
  if (const auto id = vocabulary_.Find(text); id.has_value()) return reversed.push_back(*id);
  const auto id_of = [this](char byte) { return fallback_ids_[static_cast<unsigned char>(byte)]; };
  if (byte_fallback_ && std::ranges::all_of(text, [&](char byte) { return id_of(byte).has_value(); })) {
    for (auto byte = text.rbegin(); byte != text.rend(); ++byte) reversed.push_back(*id_of(*byte));
  } else {
    reversed.push_back(unk_);
  }
}

}  // namespace muster
