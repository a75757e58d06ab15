// Which passages of a query's ranking become its hard negatives. No torch: a function of one ranking.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "muster/v1/job.pb.h"

namespace muster {

// As MineSpec (job.proto) names them.
struct MiningRules {
  static MiningRules Of(const muster::v1::MineSpec& mine, uint64_t seed);

  int64_t first_rank = 1, last_rank = 100;
  int64_t per_query = 4;
  std::optional<double> absolute_margin, relative_margin;
  bool random = false;
  uint64_t seed = 0;
};

struct RankedDocument {
  uint32_t document = 0;
  float score = 0;
};

// The highest score that a negative of the query may have; infinite without a margin. Of a positive score s the relative
// margin allows r * s, of a negative one s - (1 - r) * |s|, so that it never allows more than s.
// Source: NV-Retriever, arXiv 2407.15831, section 3 (TopK-MarginPos, TopK-PercPos).
double HighestAllowedScore(const MiningRules& rules, double lowest_positive);

// The query's negatives, the best first. `ranking`: descending scores, equal ones in the order of documents; at least
// last_rank documents besides the excluded ones, or all there are. `excluded`: ascending. `query`: its number, for random
// sampling.
std::vector<uint32_t> ChooseMined(const MiningRules& rules, uint32_t query, double lowest_positive,
                                  std::span<const uint32_t> excluded, std::span<const RankedDocument> ranking);

}  // namespace muster
