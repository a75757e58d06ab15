#include "common/metrics/registry.h"

#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "common/metrics/rpc_metrics.h"
#include "common/view.h"

namespace muster {
namespace {

std::string Text(const MetricRegistry& metrics) {
  return prometheus::TextSerializer().Serialize(metrics.registry()->Collect());
}

TEST(Catalogue, EveryFamilyIsComplete) {
  std::set<std::string_view> names;
  for (const MetricFamily& family : MetricCatalogue()) {
    SCOPED_TRACE(family.name);
    EXPECT_TRUE(names.insert(family.name).second) << "declared twice";
    EXPECT_TRUE(absl::StartsWith(ToAbsl(family.name), "muster_") || absl::StartsWith(ToAbsl(family.name), "exposer_"));
    EXPECT_EQ(absl::EndsWith(ToAbsl(family.name), "_total"), family.type == MetricType::kCounter);
    EXPECT_FALSE(family.unit.empty());
    EXPECT_TRUE(absl::EndsWith(ToAbsl(family.help), "."));
    EXPECT_NE(family.programs, 0u);
    EXPECT_EQ(family.programs & ~kAllServe, 0u);
    EXPECT_EQ(family.buckets.empty(), family.type != MetricType::kHistogram);
    EXPECT_TRUE(std::is_sorted(family.buckets.begin(), family.buckets.end()));
    for (const MetricLabel& label : family.labels) {
      EXPECT_FALSE(label.values.empty() && label.source.empty()) << label.name << " is not bounded";
    }
  }
}

TEST(MetricRegistry, CountersOfAClosedSetBeginAtZero) {
  MetricRegistry metrics(MetricProgram::kCoordinator, "1.2.3");
  metrics.Counters("muster_scheduling_decisions_total").With({"placed"}).Increment();
  const std::string text = Text(metrics);
  EXPECT_NE(text.find("muster_scheduling_decisions_total{result=\"placed\"} 1\n"), std::string::npos) << text;
  EXPECT_NE(text.find("muster_scheduling_decisions_total{result=\"waiting\"} 0\n"), std::string::npos) << text;
  EXPECT_NE(text.find("muster_build_info{program=\"muster-coordinator\",version=\"1.2.3\"} 1\n"), std::string::npos) << text;
}

TEST(MetricRegistry, GaugesThatAreNotSetAgainDisappear) {
  MetricRegistry metrics(MetricProgram::kCoordinator, "1");
  GaugeRound steps = metrics.Gauges("muster_job_step");
  steps.Set({"a"}, 3);
  steps.Set({"b\"\n"}, 4);
  steps.End();
  steps.Set({"b\"\n"}, 5);
  steps.End();
  const std::string text = Text(metrics);
  EXPECT_EQ(text.find("job=\"a\""), std::string::npos) << text;
  EXPECT_NE(text.find("muster_job_step{job=\"b\\\"\\n\"} 5\n"), std::string::npos) << text;
}

TEST(MetricRegistryDeathTest, TakesNothingThatIsNotDeclared) {
  MetricRegistry metrics(MetricProgram::kCoordinator, "1");
  EXPECT_DEATH(metrics.Counters("muster_novelties_total"), "muster_novelties_total: it is not declared");
  EXPECT_DEATH(metrics.Counters("muster_jobs"), "declared as a gauge");
  EXPECT_DEATH(metrics.AddGauge("muster_datasets"), "not declared for muster-coordinator");
  EXPECT_DEATH(metrics.Counters("muster_attempts_total").With({"exploded"}), "is not a declared value of end");
  EXPECT_DEATH(metrics.Counters("muster_attempts_total").With({}), "0 label values, 1 are declared");
}

TEST(RpcMetrics, CountsCallsByMethodAndCode) {
  MetricRegistry metrics(MetricProgram::kData, "1");
  RpcMetrics rpc(metrics);
  rpc.Count("muster.v1.DataService/ListDatasets", "OK", 0.003);
  rpc.Count("muster.v1.DataService/ListDatasets", "NOT_FOUND", 0.003);
  rpc.Reject("denied");
  const std::string text = Text(metrics);
  for (const char* line : {
           "muster_rpc_requests_total{code=\"OK\",method=\"muster.v1.DataService/ListDatasets\"} 1\n",
           "muster_rpc_requests_total{code=\"NOT_FOUND\",method=\"muster.v1.DataService/ListDatasets\"} 1\n",
           "muster_rpc_seconds_bucket{method=\"muster.v1.DataService/ListDatasets\",le=\"0.005\"} 2\n",
           "muster_rpc_rejections_total{reason=\"denied\"} 1\n",
           "muster_rpc_rejections_total{reason=\"rate_limited\"} 0\n",
       }) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

}  // namespace
}  // namespace muster
