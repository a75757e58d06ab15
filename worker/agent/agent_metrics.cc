#include "worker/agent/agent_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"

namespace muster {
namespace {

prometheus::Gauge& AddGauge(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({});
}
prometheus::Counter& AddCounter(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add({});
}

}  // namespace

std::string CauseLabel(muster::v1::ExitCause cause) {
  const std::string name = muster::v1::ExitCause_Name(cause);
  return absl::AsciiStrToLower(absl::StripPrefix(name, "EXIT_CAUSE_"));
}

AgentMetrics::AgentMetrics(prometheus::Registry& registry, const std::string& version)
    : ranks_running_(AddGauge(registry, "muster_agent_ranks_running", "Rank processes on this worker.")),
      connected_(AddGauge(registry, "muster_agent_connected", "1 while a session with the coordinator is open.")),
      reports_pending_(AddGauge(registry, "muster_agent_reports_pending", "Reports that the coordinator has not acknowledged.")),
      sessions_(AddCounter(registry, "muster_agent_sessions_total", "Sessions with a coordinator.")),
      log_bytes_(AddCounter(registry, "muster_agent_log_bytes_total", "Bytes that ranks wrote to their output.")) {
  auto& exits = prometheus::BuildCounter()
                    .Name("muster_agent_rank_exits_total")
                    .Help("Ends of rank processes by cause.")
                    .Register(registry);
  for (int cause = muster::v1::ExitCause_MIN; cause <= muster::v1::ExitCause_MAX; ++cause) {
    if (cause == muster::v1::EXIT_CAUSE_UNSPECIFIED || !muster::v1::ExitCause_IsValid(cause)) continue;
    const auto value = static_cast<muster::v1::ExitCause>(cause);
    exits_[value] = &exits.Add({{"cause", CauseLabel(value)}});
  }
  prometheus::BuildGauge()
      .Name("muster_build_info")
      .Help("1, with the program and its version.")
      .Register(registry)
      .Add({{"program", "muster-worker"}, {"version", version}})
      .Set(1);
}

void AgentMetrics::Publish(const AgentCore& core) {
  ranks_running_.Set(static_cast<double>(core.ranks_running()));
  connected_.Set(core.connected() ? 1 : 0);
  reports_pending_.Set(static_cast<double>(core.reports_pending()));
  const auto raise = [](prometheus::Counter& counter, uint64_t to) { counter.Increment(static_cast<double>(to) - counter.Value()); };
  raise(sessions_, core.counters().sessions);
  for (const auto& [cause, count] : core.counters().exits) {
    const auto found = exits_.find(cause);
    if (found != exits_.end()) raise(*found->second, count);
  }
}

void AgentMetrics::AddLogBytes(size_t bytes) { log_bytes_.Increment(static_cast<double>(bytes)); }

}  // namespace muster
