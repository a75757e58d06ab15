#include "coordinator/data/plan/label_noise.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "common/fast_digest.h"
#include "common/random.h"
#include "common/spec/label_noise.h"
#include "coordinator/data/store/judgment_table.h"
#include "coordinator/data/store/normalize.h"

namespace muster {
namespace {

constexpr uint64_t kNoiseKey = 0x6E6F697365000000;
// Part of the stored meaning of data.noise.seed: never renumber.
enum class NoisePurpose : uint64_t { kFate = 1, kError = 2, kReplacement = 3 };

constexpr int kNoiseDraws = 64;  // before the candidates are tried one by one

uint64_t NoiseKeyFor(uint64_t key, NoisePurpose purpose) { return MixKey(key, static_cast<uint64_t>(purpose)); }

bool IsReplaced(NoiseFate fate) {
  return fate == NoiseFate::kRandomPassage || fate == NoiseFate::kHardNegative || fate == NoiseFate::kOtherPositive;
}

bool Contains(const std::vector<uint32_t>& values, uint32_t value) { return std::ranges::find(values, value) != values.end(); }

uint64_t DigestOfText(const Dataset& dataset, uint32_t query) {
  return FastDigest(NormalizeText(dataset.query_text(query)), 0);
}

// `decisions`: in ascending order of passages. Null: the passage is no positive.
template <typename Decisions>
auto* DecisionAbout(Decisions& decisions, uint32_t passage) {
  const auto found = std::ranges::lower_bound(decisions, passage, {}, &NoiseDecision::passage);
  return found == decisions.end() || found->passage != passage ? nullptr : &*found;
}

}  // namespace

bool TrainingJudgments::IsInjected(uint32_t passage) const { return std::ranges::binary_search(injected, passage); }

std::shared_ptr<const LabelNoise> LabelNoise::Make(const Dataset& dataset, const muster::v1::DataSpec& data) {
  if (!HasNoise(data)) return nullptr;
  const auto split = std::ranges::find(dataset.splits(), data.split());
  if (split == dataset.splits().end()) return nullptr;
  const auto index = static_cast<uint32_t>(split - dataset.splits().begin());
  return std::shared_ptr<const LabelNoise>(new LabelNoise(dataset, index, data.noise()));
}

LabelNoise::LabelNoise(const Dataset& dataset, uint32_t split, const muster::v1::NoiseSpec& spec)
    : dataset_(&dataset),
      split_(split),
      random_passages_(spec.random_passages()),
      hard_negatives_(spec.hard_negatives()),
      other_positives_(spec.other_positives()),
      dropped_(spec.dropped()),
      deviation_(spec.blurred_grades()),
      key_(MixKey(kNoiseKey, spec.has_seed() ? spec.seed() : kDefaultNoiseSeed)) {
  if (random_passages_ + hard_negatives_ + other_positives_ > 0) IndexRepeatedTexts();
  if (other_positives_ > 0) IndexQueriesWithPositives();
}

void LabelNoise::IndexRepeatedTexts() {
  std::vector<std::pair<uint64_t, uint32_t>> all;
  all.reserve(dataset_->queries());
  for (uint32_t query = 0; query < dataset_->queries(); ++query) all.emplace_back(DigestOfText(*dataset_, query), query);
  std::ranges::sort(all);
  for (size_t i = 0; i < all.size(); ++i) {
    const bool as_before = i > 0 && all[i - 1].first == all[i].first;
    const bool as_next = i + 1 < all.size() && all[i + 1].first == all[i].first;
    if (as_before || as_next) repeated_texts_.push_back(all[i]);
  }
}

void LabelNoise::IndexQueriesWithPositives() {
  for (uint32_t query = 0; query < dataset_->queries(); ++query) {
    if (std::ranges::any_of(dataset_->judgments(split_, query), IsPositive)) with_positives_.push_back(query);
  }
}

// The first share below which the number falls. So a larger share of the first kind damages the same positives and more.
NoiseFate LabelNoise::FateOf(uint64_t key) const {
  double rest = CounterRandom(NoiseKeyFor(key, NoisePurpose::kFate)).Uniform();
  for (const auto& [share, fate] : {std::pair(random_passages_, NoiseFate::kRandomPassage),
                                    std::pair(hard_negatives_, NoiseFate::kHardNegative),
                                    std::pair(other_positives_, NoiseFate::kOtherPositive),
                                    std::pair(dropped_, NoiseFate::kDropped)}) {
    if (rest < share) return fate;
    rest -= share;
  }
  return NoiseFate::kKept;
}

// Normal, by the transform of Box and Muller.
float LabelNoise::ErrorOf(uint64_t key) const {
  if (deviation_ == 0) return 0;
  CounterRandom random(NoiseKeyFor(key, NoisePurpose::kError));
  const double radius = std::sqrt(-2 * std::log1p(-random.Uniform()));
  return static_cast<float>(deviation_ * radius * std::cos(2 * std::numbers::pi * random.Uniform()));
}

std::span<const std::pair<uint64_t, uint32_t>> LabelNoise::QueriesOfText(uint32_t query) const {
  if (repeated_texts_.empty()) return {};
  const auto [begin, end] =
      std::ranges::equal_range(repeated_texts_, DigestOfText(*dataset_, query), {}, &std::pair<uint64_t, uint32_t>::first);
  return {begin, end};
}

// Whether no split judges the passage relevant to the query or to another one with the same text. An ignored passage may be
// relevant, so it replaces nothing either.
bool LabelNoise::MayReplace(uint32_t query, uint32_t passage) const {
  const auto may = [&](uint32_t of_query) {
    for (uint32_t split = 0; split < dataset_->splits().size(); ++split) {
      for (const Judgment& judgment : dataset_->judgments(split, of_query)) {
        if (judgment.passage == passage && (IsPositive(judgment) || judgment.hard_negative == kIgnored)) return false;
      }
    }
    return true;
  };
  if (!may(query)) return false;
  for (const auto& [digest, other] : QueriesOfText(query)) {
    if (other != query && !may(other)) return false;
  }
  return true;
}

bool LabelNoise::DrawPassage(uint32_t query, const std::vector<uint32_t>& taken, NoiseDecision& decision) const {
  CounterRandom random(NoiseKeyFor(decision.key, NoisePurpose::kReplacement));
  const uint32_t passages = dataset_->passages();
  const auto take = [&](uint32_t passage) {
    if (Contains(taken, passage) || !MayReplace(query, passage)) return false;
    decision.replacement = passage;
    return true;
  };
  for (int draw = 0; draw < kNoiseDraws; ++draw) {
    if (take(static_cast<uint32_t>(random.Below(passages)))) return true;
  }
  const uint64_t start = random.Below(passages);
  for (uint64_t i = 0; i < passages; ++i) {
    if (take(static_cast<uint32_t>((start + i) % passages))) return true;
  }
  return false;
}

// Takes one of the passages judged for `other` whose judgment is `wanted`: the one with the smallest key, so that it does not
// depend on the order of the judgments.
bool LabelNoise::TakeJudged(uint32_t query, uint32_t other, bool (*wanted)(const Judgment&), const std::vector<uint32_t>& taken,
                            NoiseDecision& decision) const {
  const uint64_t key = NoiseKeyFor(decision.key, NoisePurpose::kReplacement);
  uint64_t smallest = 0;
  bool found = false;
  for (const Judgment& judgment : dataset_->judgments(split_, other)) {
    if (!wanted(judgment) || Contains(taken, judgment.passage)) continue;
    const uint64_t own = MixKey(key, dataset_->passage_digest(judgment.passage));
    if ((found && own >= smallest) || !MayReplace(query, judgment.passage)) continue;
    smallest = own;
    decision.replacement = judgment.passage;
    found = true;
  }
  return found;
}

bool LabelNoise::DrawHardNegative(uint32_t query, const std::vector<uint32_t>& taken, NoiseDecision& decision) const {
  const auto is_hard = [](const Judgment& judgment) { return judgment.hard_negative == kHardNegative; };
  return TakeJudged(query, query, is_hard, taken, decision);
}

bool LabelNoise::DrawOtherPositive(uint32_t query, const std::vector<uint32_t>& taken, NoiseDecision& decision) const {
  CounterRandom random(NoiseKeyFor(decision.key, NoisePurpose::kReplacement));
  const auto take_of = [&](uint32_t other) {
    return TakeJudged(query, other, [](const Judgment& judgment) { return IsPositive(judgment); }, taken, decision);
  };
  for (int draw = 0; draw < kNoiseDraws; ++draw) {
    if (take_of(with_positives_[random.Below(with_positives_.size())])) return true;
  }
  const uint64_t start = random.Below(with_positives_.size());
  for (uint64_t i = 0; i < with_positives_.size(); ++i) {
    if (take_of(with_positives_[(start + i) % with_positives_.size()])) return true;
  }
  return false;
}

// `taken`: passages that have already replaced a positive of the query, so that none does twice.
bool LabelNoise::Replace(uint32_t query, NoiseDecision& decision, std::vector<uint32_t>& taken) const {
  bool found = false;
  switch (decision.fate) {
    case NoiseFate::kRandomPassage:
      found = DrawPassage(query, taken, decision);
      break;
    case NoiseFate::kHardNegative:
      found = DrawHardNegative(query, taken, decision);
      break;
    case NoiseFate::kOtherPositive:
      found = DrawOtherPositive(query, taken, decision);
      break;
    case NoiseFate::kKept:
    case NoiseFate::kDropped:
    case NoiseFate::kNotReplaceable:
      break;
  }
  if (found) taken.push_back(decision.replacement);
  return found;
}

// If all selectable positives would be dropped, the one with the smallest key stays.
void LabelNoise::KeepOne(uint32_t query, Selects selects, std::vector<NoiseDecision>& decisions) const {
  NoiseDecision* first = nullptr;
  for (const Judgment& judgment : dataset_->judgments(split_, query)) {
    if (!IsPositive(judgment)) continue;
    NoiseDecision* const decision = DecisionAbout(decisions, judgment.passage);
    Judgment blurred = judgment;
    blurred.grade += decision->error;
    if (!selects(blurred)) continue;
    if (decision->fate != NoiseFate::kDropped) return;
    if (first == nullptr || decision->key < first->key) first = decision;
  }
  if (first != nullptr) first->fate = NoiseFate::kKept;
}

std::vector<NoiseDecision> LabelNoise::Decide(uint32_t query, Selects selects) const {
  std::vector<NoiseDecision> decisions;
  const uint64_t of_query = MixKey(key_, FastDigest(dataset_->query_text(query), 0));
  bool any_replaced = false, any_dropped = false;
  for (const Judgment& judgment : dataset_->judgments(split_, query)) {
    if (!IsPositive(judgment)) continue;
    const uint64_t key = MixKey(of_query, dataset_->passage_digest(judgment.passage));
    decisions.push_back({.key = key, .passage = judgment.passage});
  }
  // Replacements are drawn in this order, which does not depend on that of the judgments.
  const auto by_key = [](const NoiseDecision& d) { return std::pair(d.key, d.passage); };
  std::ranges::sort(decisions, {}, by_key);
  const auto repeated = std::ranges::unique(decisions, {}, by_key);
  decisions.erase(repeated.begin(), repeated.end());
  for (NoiseDecision& decision : decisions) {
    decision.fate = FateOf(decision.key);
    decision.error = ErrorOf(decision.key);
    any_replaced |= IsReplaced(decision.fate);
    any_dropped |= decision.fate == NoiseFate::kDropped;
  }
  std::vector<uint32_t> taken;
  for (NoiseDecision& decision : decisions) {
    if (!any_replaced) break;
    if (IsReplaced(decision.fate) && !Replace(query, decision, taken)) decision.fate = NoiseFate::kNotReplaceable;
  }
  std::ranges::sort(decisions, {}, &NoiseDecision::passage);
  if (any_dropped) KeepOne(query, selects, decisions);
  return decisions;
}

TrainingJudgments LabelNoise::Read(uint32_t query, Selects selects) const {
  TrainingJudgments read;
  read.judgments = dataset_->judgments(split_, query);
  read.scores = dataset_->scores(split_, query);
  const std::vector<NoiseDecision> decisions = Decide(query, selects);
  const auto leaves_alone = [](const NoiseDecision& d) {
    return d.fate != NoiseFate::kDropped && !IsReplaced(d.fate) && d.error == 0;
  };
  if (std::ranges::all_of(decisions, leaves_alone)) return read;
  for (size_t i = 0; i < read.judgments.size(); ++i) {
    Judgment judgment = read.judgments[i];
    float score = read.scores.empty() ? kNoScore : read.scores[i];
    if (const NoiseDecision* const decision = DecisionAbout(decisions, judgment.passage); decision != nullptr) {
      const bool replaced = IsReplaced(decision->fate);
      if (decision->fate == NoiseFate::kDropped || (replaced && !IsPositive(judgment))) continue;
      if (IsPositive(judgment)) judgment.grade += decision->error;
      if (replaced) {
        judgment.passage = decision->replacement;
        score = kNoScore;
      }
    }
    read.changed_judgments.push_back(judgment);
    if (!read.scores.empty()) read.changed_scores.push_back(score);
  }
  for (const NoiseDecision& decision : decisions) {
    if (IsReplaced(decision.fate)) read.injected.push_back(decision.replacement);
  }
  std::ranges::sort(read.injected);
  read.judgments = read.changed_judgments;
  read.scores = read.changed_scores;
  return read;
}

NoiseCounts LabelNoise::Count(Selects selects) const {
  NoiseCounts counts;
  for (uint32_t query = 0; query < dataset_->queries(); ++query) {
    const auto judgments = dataset_->judgments(split_, query);
    if (std::ranges::none_of(judgments, selects)) continue;
    for (const NoiseDecision& decision : Decide(query, selects)) {
      bool selectable = false, stays_selectable = false;
      for (Judgment judgment : judgments) {
        if (judgment.passage != decision.passage || !selects(judgment)) continue;
        selectable = true;
        judgment.grade += decision.error;
        stays_selectable |= selects(judgment);
      }
      if (!selectable) continue;
      ++counts.positives;
      counts.random_passages += decision.fate == NoiseFate::kRandomPassage;
      counts.hard_negatives += decision.fate == NoiseFate::kHardNegative;
      counts.other_positives += decision.fate == NoiseFate::kOtherPositive;
      counts.dropped += decision.fate == NoiseFate::kDropped;
      counts.not_replaceable += decision.fate == NoiseFate::kNotReplaceable;
      counts.no_longer_selectable += decision.fate != NoiseFate::kDropped && !stays_selectable;
    }
  }
  return counts;
}

}  // namespace muster
