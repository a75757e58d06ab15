// Messages to the coordinator that may be lost: the newest progress of each attempt, and log lines in batches.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "worker/agent/core/agent_types.h"

namespace muster {

class Relay {
 public:
  // A message of log text stays below `batch_bytes` (plus one line); if more than `max_bytes` wait, the oldest are dropped.
  explicit Relay(size_t batch_bytes = 32 << 10, size_t max_bytes = 1 << 20)
      : batch_bytes_(batch_bytes), max_bytes_(max_bytes) {}

  void AddProgress(const AttemptKey& attempt, const muster::v1::Progress& progress);
  void AddLog(const RankKey& rank, const std::string& text);

  bool empty() const { return progress_.empty() && logs_.empty(); }
  std::vector<muster::internal::v1::AgentMessage> Take();

 private:
  size_t batch_bytes_, max_bytes_;
  size_t log_bytes_ = 0;
  std::map<AttemptKey, muster::v1::Progress> progress_;
  std::deque<muster::internal::v1::LogText> logs_;
};

}  // namespace muster
