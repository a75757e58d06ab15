#include "common/retrieval/metric_name.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace muster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(ParseMetricName, KnowsItsNames) {
  EXPECT_EQ(ParseMetricName("ndcg@10")->kind, MetricName::Kind::kNdcg);
  EXPECT_EQ(ParseMetricName("ndcg@10")->cutoff, 10);
  EXPECT_EQ(ParseMetricName("precision@5")->kind, MetricName::Kind::kPrecision);
  EXPECT_EQ(ParseMetricName("recall@1000")->cutoff, 1000);
  for (const char* name : {"ndcg", "mrr", "recall", "map"}) EXPECT_EQ(ParseMetricName(name)->cutoff, 0) << name;
  for (const char* name : {"", "ndcg@", "ndcg@0", "ndcg@1001", "ndcg@010", "ndcg@+5", "precision", "mrr10", "p@10", "NDCG@10"}) {
    EXPECT_THAT(std::string(ParseMetricName(name).status().message()), HasSubstr("unknown metric")) << name;
    EXPECT_THAT(std::string(ParseMetricName(name).status().message()), HasSubstr("precision@K")) << name;
  }
}

TEST(ComesBefore, SortsByKindAndCutoff) {
  std::vector<std::string> names = {"recall@10", "precision@5", "map", "zzz", "mrr@10", "ndcg@100", "ndcg@10", "mrr"};
  std::sort(names.begin(), names.end(), [](const auto& a, const auto& b) { return ComesBefore(a, b); });
  EXPECT_THAT(names, ElementsAre("ndcg@10", "ndcg@100", "mrr", "mrr@10", "map", "recall@10", "precision@5", "zzz"));
}

}  // namespace
}  // namespace muster
