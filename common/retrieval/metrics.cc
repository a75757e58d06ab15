#include "common/retrieval/metrics.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace muster {
namespace {

double Dcg(std::span<const float> grades, size_t cutoff) {
  double sum = 0;
  for (size_t i = 0; i < std::min(cutoff, grades.size()); ++i) {
    if (grades[i] > 0) sum += grades[i] / std::log2(i + 2.0);
  }
  return sum;
}

}  // namespace

double EvaluateMetric(const MetricName& metric, std::span<const float> ranked, std::span<const float> judged) {
  const size_t cutoff = metric.cutoff == 0 ? ranked.size() : static_cast<size_t>(metric.cutoff);
  const size_t depth = std::min(cutoff, ranked.size());
  const auto is_relevant = [](float grade) { return grade > 0; };
  const double relevant = std::count_if(judged.begin(), judged.end(), is_relevant);
  if (relevant == 0) return 0;
  switch (metric.kind) {
    case MetricName::Kind::kNdcg: {
      std::vector<float> ideal(judged.begin(), judged.end());
      std::sort(ideal.begin(), ideal.end(), std::greater<>());
      return Dcg(ranked, depth) / Dcg(ideal, metric.cutoff == 0 ? ideal.size() : cutoff);
    }
    case MetricName::Kind::kMrr: {
      for (size_t i = 0; i < depth; ++i) {
        if (ranked[i] > 0) return 1.0 / (i + 1);
      }
      return 0;
    }
    case MetricName::Kind::kRecall:
      return std::count_if(ranked.begin(), ranked.begin() + depth, is_relevant) / relevant;
    case MetricName::Kind::kPrecision:
      return cutoff == 0 ? 0 : std::count_if(ranked.begin(), ranked.begin() + depth, is_relevant) / static_cast<double>(cutoff);
    case MetricName::Kind::kMap: {
      double sum = 0, found = 0;
      for (size_t i = 0; i < depth; ++i) {
        if (ranked[i] > 0) sum += ++found / (i + 1);
      }
      return sum / relevant;
    }
  }
  return 0;
}

std::vector<std::string> StandardMetrics() {
  return {"ndcg@10", "mrr", "mrr@10", "recall@10", "recall@100", "map@100"};
}

}  // namespace muster
