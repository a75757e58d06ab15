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

bool MayHaveNegatives(const Dataset& dataset, uint32_t split, const ChoiceRules& rules,
                      const std::vector<uint32_t>& queries, uint32_t batch) {
  const bool together = batch > 1 && queries.size() > 1;
  if (!together && rules.negatives_per_query == 0) return false;
  // If there is no negative, everything that any query brings is also relevant to the first query.
  absl::flat_hash_set<uint32_t> relevant_to_first, brought;
  for (size_t i = 0; i < queries.size(); ++i) {
    const PassagesOfQuery judged = JudgedPassages(ReadJudgments(dataset, split, queries[i], rules).judgments, rules);
    if (rules.negatives_per_query > 0 && !judged.negatives.empty()) return true;
    if (!together) continue;
    if (i == 0) relevant_to_first.insert(judged.relevant.begin(), judged.relevant.end());
    for (const uint32_t passage : EverBrought(judged, rules, queries[i])) {
      if (!relevant_to_first.contains(passage)) return true;
      brought.insert(passage);
    }
  }
  if (!together) return false;
  return std::ranges::any_of(queries, [&](uint32_t query) {
    const PassagesOfQuery judged = JudgedPassages(ReadJudgments(dataset, split, query, rules).judgments, rules);
    const auto relevant = std::ranges::count_if(judged.relevant, [&](uint32_t p) { return brought.contains(p); });
    return static_cast<size_t>(relevant) < brought.size();
  });
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
