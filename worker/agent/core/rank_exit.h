// Determines why a rank ended, from its result, the requests to it, and how its process ended.
#pragma once

#include <optional>
#include <string>

#include "worker/agent/core/agent_types.h"

namespace muster {

struct RankHistory {
  std::optional<muster::rank::v1::RankResult> result;  // the rank's own last message
  std::string stop_reason;  // why the agent asked it to stop; empty: the agent did not
  std::string kill_reason;  // why the agent killed it; empty: the agent did not
  bool nonsense = false;  // it was killed for invalid messages
  std::optional<muster::v1::Progress> progress;  // the last that it reported
};

// The rank's own result has priority, then what the agent did to the rank, then the signal or the exit code.
muster::internal::v1::RankExited DescribeRankExit(const RankEnded& ended, const RankHistory& history);

}  // namespace muster
