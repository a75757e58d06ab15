// Retrieval metrics of one query, as trec_eval computes them (pytrec_eval is the same code).
//   ndcg@k       gains are grades, discounts log2(rank + 1); ideal: the judged documents by grade
//   mrr@k        1 / rank of the first relevant document, 0 without one
//   recall@k     relevant documents among the first k, over all relevant ones
//   map@k        mean over relevant documents of the precision at their rank, those beyond k counting 0
//   precision@k  relevant documents among the first k, over k, also where the ranking is shorter
// Without @k the whole ranking counts. A document is relevant if its grade is above 0.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "common/retrieval/metric_name.h"

namespace muster {

// `ranked`: grades of the ranking, best first, 0 where not judged. `judged`: grades of all judged documents. Between 0 and
// 1; 0 if no judged document is relevant. Thread-safe.
double EvaluateMetric(const MetricName& metric, std::span<const float> ranked, std::span<const float> judged);

// The metrics that every evaluation reports, in addition to the one that selects the best model.
std::vector<std::string> StandardMetrics();

}  // namespace muster
