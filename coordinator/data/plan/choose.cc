#include "coordinator/data/plan/choose.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/random.h"
#include "common/status.h"
#include "coordinator/data/plan/keys.h"

namespace muster {
namespace {

using muster::v1::Choose;

std::vector<uint32_t> FirstIndices(uint32_t count) {
  std::vector<uint32_t> indices(count);
  std::iota(indices.begin(), indices.end(), 0);
  return indices;
}

// `count` of the indices below `size`, with equal probability for each subset, in ascending order.
std::vector<uint32_t> DrawIndices(uint32_t size, uint32_t count, uint64_t key) {
  std::vector<uint32_t> indices = FirstIndices(size);
  CounterRandom random(key);
  for (uint32_t i = 0; i < count; ++i) std::swap(indices[i], indices[i + random.Below(size - i)]);
  indices.resize(count);
  std::ranges::sort(indices);
  return indices;
}

// A window of `count` that advances by its own width each epoch, and wraps around.
std::vector<uint32_t> WindowIndices(uint32_t size, uint32_t count, uint64_t epoch) {
  std::vector<uint32_t> indices(count);
  const uint64_t start = epoch % size * count % size;
  for (uint32_t i = 0; i < count; ++i) indices[i] = static_cast<uint32_t>((start + i) % size);
  std::ranges::sort(indices);
  return indices;
}

// Indices below `size`; `grade` gives the grade of an index.
template <typename Grade>
std::vector<uint32_t> ChooseIndices(uint32_t size, uint32_t count, Choose choose, uint64_t key, uint64_t epoch,
                                    const Grade& grade) {
  if (count >= size) return FirstIndices(size);
  switch (choose) {
    case Choose::CHOOSE_FIRST:
      return FirstIndices(count);
    case Choose::CHOOSE_TOP_GRADED: {
      std::vector<uint32_t> indices = FirstIndices(size);
      std::ranges::stable_sort(indices, [&](uint32_t a, uint32_t b) { return grade(a) > grade(b); });
      indices.resize(count);
      return indices;
    }
    case Choose::CHOOSE_ROTATE:
      return WindowIndices(size, count, epoch);
    case Choose::CHOOSE_UNSPECIFIED:
    case Choose::CHOOSE_RANDOM:
    case Choose::Choose_INT_MIN_SENTINEL_DO_NOT_USE_:
    case Choose::Choose_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return DrawIndices(size, count, key);
}

}  // namespace

bool IsSelectable(const Judgment& judgment, const ChoiceRules& rules) {
  return judgment.hard_negative == 0 && judgment.grade > 0 && judgment.grade >= rules.min_grade &&
         (rules.sources.empty() || rules.sources[judgment.source]);
}

TrainingJudgments ReadJudgments(const Dataset& dataset, uint32_t split, uint32_t query, const ChoiceRules& rules) {
  if (rules.noise != nullptr) {
    return rules.noise->Read(query, [&](const Judgment& judgment) { return IsSelectable(judgment, rules); });
  }
  TrainingJudgments read;
  read.judgments = dataset.judgments(split, query);
  read.scores = dataset.scores(split, query);
  return read;
}

ChoiceRules PositiveRules(const Dataset& dataset, const muster::v1::DataSpec& data) {
  ChoiceRules rules;
  const auto& positives = data.positives();
  rules.positives_per_query = positives.per_query();
  rules.choose_positives = positives.choose();
  rules.min_grade = positives.has_min_grade() ? positives.min_grade() : 0;
  if (positives.sources_size() > 0) {
    for (const std::string& source : dataset.sources()) {
      rules.sources.push_back(std::ranges::count(positives.sources(), source) > 0);
    }
  }
  rules.negatives_per_query = data.negatives().per_query();
  rules.choose_negatives = data.negatives().choose();
  rules.noise = LabelNoise::Make(dataset, data);
  return rules;
}

ChoiceRules RulesOf(const Dataset& dataset, const muster::v1::JobSpec& spec) {
  ChoiceRules rules = PositiveRules(dataset, spec.data());
  rules.seed = spec.seed();
  rules.draw_one = spec.loss().objective() == muster::v1::OBJECTIVE_RAND1LH;
  rules.distill = spec.loss().has_distill();
  return rules;
}

absl::Status CheckSources(std::span<const Dataset* const> datasets, const muster::v1::PositivesSpec& positives) {
  std::vector<std::string> known;
  for (const Dataset* dataset : datasets) {
    for (const std::string& source : dataset->sources()) {
      if (std::ranges::count(known, source) == 0) known.push_back(source);
    }
  }
  for (const std::string& source : positives.sources()) {
    if (std::ranges::count(known, source) > 0) continue;
    const bool one = datasets.size() == 1;
    return absl::InvalidArgumentError(absl::StrCat(
        "data.positives.sources: ", one ? "the dataset has no judgment of \"" : "no dataset has a judgment of \"", source,
        one ? "\". It has: " : "\". They have: ", absl::StrJoin(known, ", "), "."));
  }
  return absl::OkStatus();
}

absl::StatusOr<ChoiceRules> MakeChoiceRules(const Dataset& dataset, const muster::v1::JobSpec& spec) {
  const Dataset* const only[] = {&dataset};
  RETURN_IF_ERROR(CheckSources(only, spec.data().positives()));
  return RulesOf(dataset, spec);
}

std::optional<float> PassagesOfQuery::ScoreOf(uint32_t passage) const {
  const auto found = std::ranges::lower_bound(scored, passage, {}, &Scored::passage);
  return found == scored.end() || found->passage != passage ? std::nullopt : std::optional(found->score);
}

PassagesOfQuery JudgedPassages(std::span<const Judgment> judgments, const ChoiceRules& rules, std::span<const float> scores) {
  struct Entry {
    uint32_t passage;
    uint32_t first;  // position in the files' order
    bool relevant, positive, selectable, hard_negative;
    float grade, score;
  };
  std::vector<Entry> entries;
  entries.reserve(judgments.size());
  for (uint32_t i = 0; i < judgments.size(); ++i) {
    const Judgment& judgment = judgments[i];
    const bool selectable = IsSelectable(judgment, rules);
    const bool positive = judgment.hard_negative == 0 && judgment.grade > 0;
    entries.push_back({judgment.passage, i, positive || judgment.hard_negative == kIgnored, positive, selectable,
                       judgment.hard_negative == kHardNegative, selectable ? judgment.grade : 0,
                       scores.empty() ? kNoScore : scores[i]});
  }
  std::ranges::sort(entries, {}, [](const Entry& e) { return uint64_t{e.passage} << 32 | e.first; });
  size_t unique = 0;
  for (const Entry& entry : entries) {
    if (unique == 0 || entries[unique - 1].passage != entry.passage) {
      entries[unique++] = entry;
      continue;
    }
    Entry& same = entries[unique - 1];
    same.relevant |= entry.relevant;
    same.positive |= entry.positive;
    same.selectable |= entry.selectable;
    same.hard_negative |= entry.hard_negative;
    same.grade = std::max(same.grade, entry.grade);
    if (!HasScore(same.score)) same.score = entry.score;
  }
  entries.resize(unique);

  PassagesOfQuery judged;
  for (const Entry& entry : entries) {
    if (HasScore(entry.score)) judged.scored.push_back({entry.passage, entry.score});
  }
  std::ranges::sort(entries, {}, &Entry::first);
  for (const Entry& entry : entries) {
    if (entry.selectable) judged.selectable.push_back({entry.passage, entry.grade});
    if (entry.relevant) judged.relevant.push_back(entry.passage);
    const bool taught = rules.distill && entry.relevant && !entry.positive && HasScore(entry.score);
    if (taught || (entry.hard_negative && !entry.relevant)) judged.negatives.push_back(entry.passage);
  }
  return judged;
}

bool HasSelectablePositive(std::span<const Judgment> judgments, const ChoiceRules& rules) {
  return std::ranges::any_of(judgments, [&](const Judgment& judgment) { return IsSelectable(judgment, rules); });
}

Choice ChoosePassages(const PassagesOfQuery& judged, const ChoiceRules& rules, uint64_t epoch, uint32_t query) {
  Choice choice;
  const auto positives = static_cast<uint32_t>(judged.selectable.size());
  const uint64_t key = MixKey(EpochKey(rules.seed, epoch, Purpose::kPositives), query);
  const auto grade = [&](uint32_t i) { return judged.selectable[i].grade; };
  const uint32_t wanted = rules.positives_per_query == 0 ? positives : rules.positives_per_query;
  for (const uint32_t i : rules.draw_one
                              ? DrawIndices(positives, std::min(1u, positives), key)
                              : ChooseIndices(positives, wanted, rules.choose_positives, key, epoch, grade)) {
    choice.positives.push_back(judged.selectable[i]);
  }
  if (rules.negatives_per_query > 0) {
    for (const uint32_t i :
         ChooseIndices(static_cast<uint32_t>(judged.negatives.size()), rules.negatives_per_query,
                       rules.choose_negatives, MixKey(EpochKey(rules.seed, epoch, Purpose::kNegatives), query), epoch,
                       [](uint32_t) { return 0.0f; })) {
      choice.negatives.push_back(judged.negatives[i]);
    }
  }
  return choice;
}

}  // namespace muster
