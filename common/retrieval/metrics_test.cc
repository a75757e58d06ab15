#include "common/retrieval/metrics.h"

#include <gtest/gtest.h>

#include <cmath>

namespace muster {
namespace {

double Metric(const std::string& name, std::vector<float> ranked, std::vector<float> judged) {
  return EvaluateMetric(*ParseMetricName(name), ranked, judged);
}

// Ranking: 0, 2, 0, 1; judged: 2, 1, 1 (one is not found), 0.
TEST(Metrics, EqualHandComputedValues) {
  const std::vector<float> ranked = {0, 2, 0, 1}, judged = {1, 0, 2, 1};
  const double ideal = 2 + 1 / std::log2(3.0) + 1 / std::log2(4.0);
  EXPECT_NEAR(Metric("ndcg@10", ranked, judged), (2 / std::log2(3.0) + 1 / std::log2(5.0)) / ideal, 1e-12);
  EXPECT_NEAR(Metric("ndcg@2", ranked, judged), (2 / std::log2(3.0)) / (2 + 1 / std::log2(3.0)), 1e-12);
  EXPECT_EQ(Metric("mrr", ranked, judged), 0.5);
  EXPECT_EQ(Metric("mrr@1", ranked, judged), 0);
  EXPECT_NEAR(Metric("recall@2", ranked, judged), 1.0 / 3, 1e-12);
  EXPECT_NEAR(Metric("recall@100", ranked, judged), 2.0 / 3, 1e-12);
  EXPECT_NEAR(Metric("map@100", ranked, judged), (1.0 / 2 + 2.0 / 4) / 3, 1e-12);
  EXPECT_NEAR(Metric("map@3", ranked, judged), (1.0 / 2) / 3, 1e-12);
  EXPECT_NEAR(Metric("map", ranked, judged), (1.0 / 2 + 2.0 / 4) / 3, 1e-12);
  EXPECT_NEAR(Metric("recall", ranked, judged), 2.0 / 3, 1e-12);
  EXPECT_NEAR(Metric("precision@2", ranked, judged), 1.0 / 2, 1e-12);
  EXPECT_NEAR(Metric("precision@10", ranked, judged), 2.0 / 10, 1e-12) << "over 10, although 4 are ranked";
}

// The ideal ranking has every judged document, also those that a short ranking lacks.
TEST(Metrics, NdcgWithoutACutoffIsMeasuredAgainstAllJudgments) {
  EXPECT_NEAR(Metric("ndcg", {1}, {1, 1}), 1 / (1 + 1 / std::log2(3.0)), 1e-12);
}

TEST(Metrics, AQueryWithoutARelevantDocumentHasZeroEverywhere) {
  for (const char* name : {"ndcg@10", "ndcg", "mrr", "recall@10", "map", "precision@5"}) {
    EXPECT_EQ(Metric(name, {0, 0}, {0, -1}), 0) << name;
    EXPECT_EQ(Metric(name, {0, 0}, {}), 0) << name;
  }
}

TEST(Metrics, APerfectRankingHasOneEverywhere) {
  for (const std::string& name : StandardMetrics()) {
    EXPECT_NEAR(Metric(name, {3, 2, 1, 0}, {1, 2, 3}), 1, 1e-12) << name;
    EXPECT_EQ(Metric(name, {}, {1}), 0) << name;
  }
}

}  // namespace
}  // namespace muster
