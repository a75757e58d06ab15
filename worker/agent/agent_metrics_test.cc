#include "worker/agent/agent_metrics.h"

#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

namespace muster {
namespace {

TEST(AgentMetrics, EveryCauseOfAnExitIsDeclared) {
  const MetricFamily* exits = FindMetric("muster_agent_rank_exits_total");
  ASSERT_NE(exits, nullptr);
  for (int cause = 1; cause <= muster::internal::v1::ExitCause_MAX; ++cause) {
    if (!muster::internal::v1::ExitCause_IsValid(cause)) continue;
    EXPECT_NO_FATAL_FAILURE(LabelsOf(*exits, {CauseLabel(static_cast<muster::internal::v1::ExitCause>(cause))}));
  }
}

TEST(AgentMetrics, ASlotsCpuTimeAddsUpOverItsRanksAndItsMemoryDoesNot) {
  MetricRegistry metrics(MetricProgram::kWorker, "1");
  AgentMetrics agent(metrics);
  const auto has = [&](const std::string& line) {
    return prometheus::TextSerializer().Serialize(metrics.registry()->Collect()).find(line) != std::string::npos;
  };
  const RankKey first{{"a", 1}, 0}, second{{"a", 2}, 0};
  agent.SetUsage({{first, {3, {1000, 1.5}}}});
  agent.SetUsage({{first, {3, {2000, 4}}}});
  EXPECT_TRUE(has("muster_rank_resident_bytes{slot=\"3\"} 2000\n"));
  EXPECT_TRUE(has("muster_rank_cpu_seconds_total{slot=\"3\"} 4\n"));
  agent.SetUsage({{second, {3, {500, 0.5}}}});
  EXPECT_TRUE(has("muster_rank_resident_bytes{slot=\"3\"} 500\n"));
  EXPECT_TRUE(has("muster_rank_cpu_seconds_total{slot=\"3\"} 4.5\n"));
  agent.SetUsage({});
  EXPECT_FALSE(has("muster_rank_resident_bytes{"));
  EXPECT_TRUE(has("muster_rank_cpu_seconds_total{slot=\"3\"} 4.5\n"));
}

}  // namespace
}  // namespace muster
