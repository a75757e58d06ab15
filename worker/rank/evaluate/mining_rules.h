// Decides which passages of a query's ranking become its hard negatives. Does not depend on torch.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "muster/v1/job.pb.h"

namespace muster {

// The fields mean what those of MineSpec (job.proto) mean.
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

// The highest score that a negative of the query may have; infinite without a margin. With s the lowest positive's score, the
// relative margin r allows s - (1 - r) * |s|: that is r * s if s is positive, and never more than s.
// Source: NV-Retriever, arXiv 2407.15831, section 3 (TopK-MarginPos, TopK-PercPos).
double HighestAllowedScore(const MiningRules& rules, double lowest_positive);

// Returns the query's negatives, highest score first. `ranking`: by descending score, equal scores by ascending document;
// it has at least last_rank documents that are not excluded, or all documents. `excluded`: ascending. `query`: the query's
// number, which seeds random sampling.
std::vector<uint32_t> ChooseMined(const MiningRules& rules, uint32_t query, double lowest_positive,
                                  std::span<const uint32_t> excluded, std::span<const RankedDocument> ranking);

}  // namespace muster
