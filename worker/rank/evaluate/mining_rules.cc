#include "worker/rank/evaluate/mining_rules.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "common/random.h"

namespace muster {
namespace {

// Keeps `per_query` random candidates, in their order: those with the smallest random numbers. A candidate's number is a
// function of seed, query and document.
void TakeRandom(const MiningRules& rules, uint32_t query, std::vector<uint32_t>& candidates) {
  if (static_cast<int64_t>(candidates.size()) <= rules.per_query) return;
  const uint64_t key = MixKey(MixKey(rules.seed, 0x6D696E65), query);  // "mine"
  const auto number = [&](uint32_t document) { return std::pair(MixKey(key, document), document); };
  std::vector<uint32_t> drawn = candidates;
  std::ranges::nth_element(drawn, drawn.begin() + rules.per_query, {}, number);
  const auto bound = number(drawn[rules.per_query]);
  std::erase_if(candidates, [&](uint32_t document) { return number(document) >= bound; });
}

}  // namespace

MiningRules MiningRules::Of(const muster::v1::MineSpec& mine, uint64_t seed) {
  MiningRules rules{.first_rank = mine.ranks().first(),
                    .last_rank = mine.ranks().last(),
                    .per_query = mine.per_query(),
                    .random = mine.sampling() == muster::v1::SAMPLING_RANDOM,
                    .seed = seed};
  if (mine.has_absolute_margin()) rules.absolute_margin = mine.absolute_margin();
  if (mine.relative_margin() > 0) rules.relative_margin = mine.relative_margin();
  return rules;
}

double HighestAllowedScore(const MiningRules& rules, double lowest_positive) {
  double highest = std::numeric_limits<double>::infinity();
  if (rules.absolute_margin.has_value()) highest = std::min(highest, lowest_positive - *rules.absolute_margin);
  if (rules.relative_margin.has_value()) {
    highest = std::min(highest, lowest_positive - (1 - *rules.relative_margin) * std::abs(lowest_positive));
  }
  return highest;
}

std::vector<uint32_t> ChooseMined(const MiningRules& rules, uint32_t query, double lowest_positive,
                                  std::span<const uint32_t> excluded, std::span<const RankedDocument> ranking) {
  const double highest = HighestAllowedScore(rules, lowest_positive);
  std::vector<uint32_t> candidates;
  int64_t rank = 0;
  for (const RankedDocument& ranked : ranking) {
    if (std::ranges::binary_search(excluded, ranked.document)) continue;
    if (++rank > rules.last_rank) break;
    if (rank < rules.first_rank || ranked.score > highest) continue;
    candidates.push_back(ranked.document);
    if (!rules.random && static_cast<int64_t>(candidates.size()) == rules.per_query) break;
  }
  if (rules.random) TakeRandom(rules, query, candidates);
  return candidates;
}

}  // namespace muster
