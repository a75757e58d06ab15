#include "coordinator/data/plan/negatives.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"

namespace muster {
namespace {

// Every positive that a query may bring in some epoch.
std::vector<uint32_t> EverBrought(const PassagesOfQuery& judged, const ChoiceRules& rules, uint32_t query) {
  const bool fixed = !rules.draw_one && (rules.choose_positives == muster::v1::CHOOSE_FIRST ||
                                         rules.choose_positives == muster::v1::CHOOSE_TOP_GRADED);
  std::vector<uint32_t> passages;
  for (const PassagesOfQuery::Positive& positive :
       fixed ? ChoosePassages(judged, rules, /*epoch=*/0, query).positives : judged.selectable) {
    passages.push_back(positive.passage);
  }
  return passages;
}

}  // namespace

bool MayHaveNegatives(const TrainingInputs& inputs, size_t first, size_t last) {
  uint64_t draws = 0, queries = 0;
  for (size_t set = first; set <= last; ++set) {
    draws += inputs.DrawsOf(set).per_epoch();
    queries += inputs.sets[set].queries.size();
  }
  const bool together = inputs.batch > 1 && draws > 1 && queries > 1;
  const uint32_t hard = inputs.sets[first].rules.negatives_per_query;
  if (!together && hard == 0) return false;
  // If there is no negative, everything that any query brings is also relevant to the first query.
  absl::flat_hash_set<uint32_t> relevant_to_first, brought;
  bool is_first = true;
  for (size_t set = first; set <= last; ++set) {
    for (const uint32_t query : inputs.sets[set].queries) {
      const PassagesOfQuery judged = ReadPassages(inputs, set, query, /*scored=*/false).judged;
      if (hard > 0 && !judged.negatives.empty()) return true;
      if (!together) continue;
      if (is_first) relevant_to_first.insert(judged.relevant.begin(), judged.relevant.end());
      is_first = false;
      for (const uint32_t passage : EverBrought(judged, inputs.sets[set].rules, query)) {
        if (!relevant_to_first.contains(passage)) return true;
        brought.insert(passage);
      }
    }
  }
  if (!together) return false;
  for (size_t set = first; set <= last; ++set) {
    for (const uint32_t query : inputs.sets[set].queries) {
      const PassagesOfQuery judged = ReadPassages(inputs, set, query, /*scored=*/false).judged;
      const auto relevant = std::ranges::count_if(judged.relevant, [&](uint32_t p) { return brought.contains(p); });
      if (static_cast<size_t>(relevant) < brought.size()) return true;
    }
  }
  return false;
}

bool MayBringSeveralPositives(const Dataset& dataset, uint32_t split, const ChoiceRules& rules,
                              const std::vector<uint32_t>& queries) {
  if (rules.draw_one || rules.positives_per_query == 1) return false;
  return std::ranges::any_of(queries, [&](uint32_t query) {
    return JudgedPassages(ReadJudgments(dataset, split, query, rules).judgments, rules).selectable.size() > 1;
  });
}

uint64_t CountHardNegatives(const Dataset& dataset, uint32_t split, const ChoiceRules& rules,
                            const std::vector<uint32_t>& queries) {
  uint64_t count = 0;
  for (const uint32_t query : queries) {
    const auto has_negatives = [](const Judgment& judgment) { return judgment.hard_negative != 0; };
    if (std::ranges::none_of(dataset.judgments(split, query), has_negatives)) continue;
    count += JudgedPassages(ReadJudgments(dataset, split, query, rules).judgments, rules).negatives.size();
  }
  return count;
}

}  // namespace muster
