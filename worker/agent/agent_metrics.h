// The agent's metrics, except those of GPUs (gpu_watch.h).
#pragma once

#include <map>
#include <string>

#include "absl/time/time.h"
#include "common/metrics/registry.h"
#include "worker/agent/core/agent_core.h"
#include "worker/agent/process_usage.h"

namespace muster {

class AgentMetrics {
 public:
  explicit AgentMetrics(MetricRegistry& metrics);
  void Publish(const AgentCore& core);
  void AddLogBytes(size_t bytes);

  // The resources of the running ranks. A slot's CPU time is the sum over all ranks that ran on it.
  struct RankUsage {
    uint32_t slot = 0;
    ProcessUsage usage;
  };
  void SetUsage(const std::map<RankKey, RankUsage>& ranks);

 private:
  prometheus::Gauge& ranks_running_;
  prometheus::Gauge& connected_;
  prometheus::Gauge& reports_pending_;
  prometheus::Counter& sessions_;
  prometheus::Counter& log_bytes_;
  CounterFamily exits_, cpu_seconds_;
  GaugeRound resident_;
  std::map<RankKey, double> cpu_seen_;  // of running ranks
};

// "EXIT_CAUSE_SIGNAL" → "signal"
std::string CauseLabel(muster::internal::v1::ExitCause cause);

}  // namespace muster
