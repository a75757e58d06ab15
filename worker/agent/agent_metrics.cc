#include "worker/agent/agent_metrics.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace muster {

std::string CauseLabel(muster::internal::v1::ExitCause cause) {
  const std::string name = muster::internal::v1::ExitCause_Name(cause);
  return absl::AsciiStrToLower(absl::StripPrefix(name, "EXIT_CAUSE_"));
}

AgentMetrics::AgentMetrics(MetricRegistry& metrics)
    : ranks_running_(metrics.AddGauge("muster_agent_ranks_running")),
      connected_(metrics.AddGauge("muster_agent_connected")),
      reports_pending_(metrics.AddGauge("muster_agent_reports_pending")),
      sessions_(metrics.AddCounter("muster_agent_sessions_total")),
      log_bytes_(metrics.AddCounter("muster_agent_log_bytes_total")),
      exits_(metrics.Counters("muster_agent_rank_exits_total")),
      cpu_seconds_(metrics.Counters("muster_rank_cpu_seconds_total")),
      resident_(metrics.Gauges("muster_rank_resident_bytes")) {}

void AgentMetrics::Publish(const AgentCore& core) {
  ranks_running_.Set(static_cast<double>(core.ranks_running()));
  connected_.Set(core.connected() ? 1 : 0);
  reports_pending_.Set(static_cast<double>(core.reports_pending()));
  const auto raise = [](prometheus::Counter& counter, uint64_t to) {
    counter.Increment(static_cast<double>(to) - counter.Value());
  };
  raise(sessions_, core.counters().sessions);
  for (const auto& [cause, count] : core.counters().exits) {
    // A rank of a newer version may report an unknown cause.
    const bool known =
        cause != muster::internal::v1::EXIT_CAUSE_UNSPECIFIED && muster::internal::v1::ExitCause_IsValid(cause);
    if (known) raise(exits_.With({CauseLabel(cause)}), count);
  }
}

void AgentMetrics::AddLogBytes(size_t bytes) { log_bytes_.Increment(static_cast<double>(bytes)); }

void AgentMetrics::SetUsage(const std::map<RankKey, RankUsage>& ranks) {
  std::map<RankKey, double> seen;
  for (const auto& [key, rank] : ranks) {
    const std::string slot = absl::StrCat(rank.slot);
    resident_.Set({slot}, static_cast<double>(rank.usage.resident_bytes));
    const auto before = cpu_seen_.find(key);
    const double known = before == cpu_seen_.end() ? 0 : before->second;
    cpu_seconds_.With({slot}).Increment(std::max(0.0, rank.usage.cpu_seconds - known));
    seen[key] = std::max(known, rank.usage.cpu_seconds);
  }
  resident_.End();
  cpu_seen_ = std::move(seen);
}

}  // namespace muster
