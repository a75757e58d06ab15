#include "coordinator/data/plan/training_texts.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/status.h"
#include "coordinator/data/store/digest_index.h"
#include "coordinator/data/store/normalize.h"

namespace muster {
namespace {

uint64_t LeadingBytes(const std::array<uint8_t, 32>& digest) {
  uint64_t first;
  std::memcpy(&first, digest.data(), sizeof first);
  return first;
}

uint64_t DigestOfPassageText(const Dataset& dataset, uint32_t passage) {
  const bool stored = dataset.content_digest() != dataset.digest();
  return stored ? dataset.passage_digest(passage)
                : LeadingBytes(DigestOfPassage(dataset.title(passage), dataset.body(passage)));
}

// The digests that are compared first have 64 bits.
bool IsSamePassage(const Dataset& a, uint32_t passage_a, const Dataset& b, uint32_t passage_b) {
  if (a.body(passage_a) == b.body(passage_b) && a.title(passage_a) == b.title(passage_b)) return true;
  return DigestOfPassage(a.title(passage_a), a.body(passage_a)) == DigestOfPassage(b.title(passage_b), b.body(passage_b));
}

constexpr uint64_t KeyOfQuery(uint32_t set, uint32_t query) { return uint64_t{set} << 32 | query; }

}  // namespace

TrainingTexts TrainingTexts::Of(const Dataset& dataset, uint32_t split) {
  TrainingTexts texts;
  texts.sets_ = {{&dataset, split}};
  texts.dataset_of_ = {0};
  texts.datasets_ = {&dataset};
  texts.first_query_ = texts.first_passage_ = {0};
  texts.passages_.resize(1);
  return texts;
}

absl::StatusOr<TrainingTexts> TrainingTexts::Join(std::span<const Set> sets) {
  if (sets.size() == 1) return Of(*sets[0].dataset, sets[0].split);
  TrainingTexts texts;
  texts.sets_.assign(sets.begin(), sets.end());
  for (const Set& set : sets) {
    const auto known = std::ranges::find(texts.datasets_, set.dataset->digest(), &Dataset::digest);
    texts.dataset_of_.push_back(known - texts.datasets_.begin());
    if (known == texts.datasets_.end()) texts.datasets_.push_back(set.dataset);
  }
  RETURN_IF_ERROR(texts.NumberTexts());
  texts.JoinPassages();
  texts.JoinQueries();
  return texts;
}

absl::Status TrainingTexts::NumberTexts() {
  uint64_t queries = 0, passages = 0;
  for (const Dataset* dataset : datasets_) {
    first_query_.push_back(static_cast<uint32_t>(queries));
    first_passage_.push_back(static_cast<uint32_t>(passages));
    queries += dataset->queries();
    passages += dataset->passages();
    if (std::max(queries, passages) > std::numeric_limits<uint32_t>::max()) {
      return absl::OutOfRangeError(
          "data.sets: the datasets have 2^32 queries or passages together, or more. Train on fewer of them.");
    }
  }
  return absl::OkStatus();
}

void TrainingTexts::JoinPassages() {
  passages_.resize(datasets_.size());
  struct Text {
    uint64_t digest;
    uint32_t number;
  };
  std::vector<Text> texts;
  for (size_t d = 0; d < datasets_.size(); ++d) {
    for (uint32_t passage = 0; passage < datasets_[d]->passages(); ++passage) {
      texts.push_back({DigestOfPassageText(*datasets_[d], passage), first_passage_[d] + passage});
    }
  }
  std::ranges::sort(texts, {}, [](const Text& text) { return std::pair(text.digest, text.number); });
  for (size_t i = 1; i < texts.size(); ++i) {
    if (texts[i].digest != texts[i - 1].digest) continue;
    const auto [d, passage] = PassagePlace(texts[i].number);
    // The first of those with the same digest, except where digests of different texts are equal.
    size_t first = i - 1;
    while (first > 0 && texts[first - 1].digest == texts[i].digest) --first;
    for (; first < i; ++first) {
      const auto [other, same] = PassagePlace(texts[first].number);
      if (other != d && IsSamePassage(*datasets_[other], same, *datasets_[d], passage)) break;
    }
    if (first == i) continue;
    if (passages_[d].empty()) {
      passages_[d].resize(datasets_[d]->passages());
      for (uint32_t own = 0; own < passages_[d].size(); ++own) passages_[d][own] = first_passage_[d] + own;
    }
    passages_[d][passage] = texts[first].number;
  }
}

void TrainingTexts::JoinQueries() {
  struct Text {
    Digest128 digest;
    QueryOfSet query;
  };
  std::vector<Text> texts;
  for (uint32_t set = 0; set < sets_.size(); ++set) {
    const auto& [dataset, split] = sets_[set];
    for (uint32_t query = 0; query < dataset->queries(); ++query) {
      if (dataset->judgments(split, query).empty()) continue;
      texts.push_back({HalfOf(Sha256Bytes(NormalizeText(dataset->query_text(query)))), {set, query}});
    }
  }
  std::ranges::sort(texts, {}, [](const Text& text) { return std::tuple(text.digest, text.query.set, text.query.query); });
  for (size_t begin = 0, end = 0; begin < texts.size(); begin = end) {
    while (end < texts.size() && texts[end].digest == texts[begin].digest) ++end;
    if (texts[begin].query.set == texts[end - 1].query.set) continue;
    std::vector<QueryOfSet>& group = groups_.emplace_back();
    for (size_t i = begin; i < end; ++i) {
      group.push_back(texts[i].query);
      group_of_.emplace(KeyOfQuery(texts[i].query.set, texts[i].query.query), static_cast<uint32_t>(groups_.size() - 1));
    }
  }
}

TrainingTexts::Place TrainingTexts::PlaceOf(const std::vector<uint32_t>& first, uint32_t number) {
  const size_t dataset = std::ranges::upper_bound(first, number) - first.begin() - 1;
  return {dataset, number - first[dataset]};
}

std::vector<TrainingTexts::QueryOfSet> TrainingTexts::SameQueries(size_t set, uint32_t query) const {
  std::vector<QueryOfSet> others;
  const auto group = group_of_.find(KeyOfQuery(static_cast<uint32_t>(set), query));
  if (group == group_of_.end()) return others;
  for (const QueryOfSet& one : groups_[group->second]) {
    if (one.set != set) others.push_back(one);
  }
  return others;
}

uint64_t TrainingTexts::PassageDigest(uint32_t number) const {
  const Place place = PassagePlace(number);
  return DigestOfPassageText(*datasets_[place.dataset], place.index);
}

uint64_t TrainingTexts::QueryDigest(uint32_t number) const {
  const Place place = QueryPlace(number);
  return datasets_[place.dataset]->query_digest(place.index);
}

}  // namespace muster
