// Names of retrieval metrics, as they appear in job files, commands and reports.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace muster {

struct MetricName {
  enum class Kind { kNdcg, kMrr, kRecall, kMap, kPrecision } kind;
  int cutoff;  // 0: none, the whole ranking counts (an evaluation on the cluster keeps 1000 documents per query)
};

// "ndcg@10", "mrr", "mrr@10", "recall@100", "map", "precision@5" … INVALID_ARGUMENT names what is allowed.
absl::StatusOr<MetricName> ParseMetricName(std::string_view name);

// The order in which reports list metrics: nDCG, MRR, MAP, recall, precision, each by cutoff, and unknown names last.
bool ComesBefore(std::string_view metric, std::string_view other);

}  // namespace muster
