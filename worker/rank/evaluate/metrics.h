// Retrieval metrics of one query, as trec_eval computes them (pytrec_eval is the same code).
//   ndcg@k    gains are grades, discounts log2(rank + 1); ideal: the judged documents by grade
//   mrr       1 / rank of the first relevant document, 0 without one
//   recall@k  relevant documents among the first k, over all relevant ones
//   map@k     mean over relevant documents of the precision at their rank, those beyond k counting 0
// A document is relevant if its grade is above 0.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "common/spec/job_spec.h"

namespace muster {

// `ranked`: grades of the ranking, best first, 0 where not judged. `judged`: grades of all judged documents, at least
// one of them above 0.
double EvaluateMetric(const MetricName& metric, std::span<const float> ranked, std::span<const float> judged);

// The metrics that every evaluation reports, in addition to the one that selects the best model.
std::vector<std::string> StandardMetrics();

}  // namespace muster
