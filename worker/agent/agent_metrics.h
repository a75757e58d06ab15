// Every metric of the agent.
#pragma once

#include <prometheus/registry.h>

#include <map>
#include <memory>
#include <string>

#include "worker/agent/core/agent_core.h"

namespace muster {

class AgentMetrics {
 public:
  AgentMetrics(prometheus::Registry& registry, const std::string& version);
  void Publish(const AgentCore& core);
  void AddLogBytes(size_t bytes);

 private:
  prometheus::Gauge& ranks_running_;
  prometheus::Gauge& connected_;
  prometheus::Gauge& reports_pending_;
  prometheus::Counter& sessions_;
  prometheus::Counter& log_bytes_;
  std::map<muster::v1::ExitCause, prometheus::Counter*> exits_;
};

// "EXIT_CAUSE_SIGNAL" → "signal"
std::string CauseLabel(muster::v1::ExitCause cause);

}  // namespace muster
