// Which rank of an attempt lags, and whether the attempt waits for a server that cannot be reached. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/core/soft.h"
#include "coordinator/core/state.h"

namespace muster {

// A rank reports every 2 s. One that has reported nothing for this long is stopped, frozen, or out of memory.
inline constexpr absl::Duration kUnresponsiveAfter = absl::Seconds(10);

// What one rank of the running attempt last reported.
struct RankStanding {
  uint32_t rank = 0;
  std::string worker;
  bool known = false;  // false: it has reported nothing yet, or its version does not report
  std::string phase;
  uint64_t step = 0, collectives = 0;
  bool in_collective = false;
  absl::Duration in_phase;  // since it entered `phase`
  absl::Duration silent;    // since its agent last heard from it
  std::string unreachable;  // the server that it waits for; empty: none
};

// The standings of all ranks that have not ended, by rank.
std::vector<RankStanding> StandingsOf(const JobRecord& job, const Soft& soft, absl::Time now);

// The rank that the others wait for: "rank 1 on w2 is at step 270 in encode for 121 s, while ranks 0, 2 wait in gather
// at step 271". Looks, in this order, for ranks that no longer respond, ranks that have reported nothing, and ranks that
// have begun the fewest collectives. Empty: no rank has reported anything.
std::string DescribeLag(const std::vector<RankStanding>& standings);

// The same, only for peers that a rank still waited for when its collective failed. Empty: none of them was behind.
std::string DescribePeersBehind(const std::vector<RankStanding>& standings, uint32_t rank);

// The server that a rank waits for; empty: none does.
std::string ServerWaitedFor(const std::vector<RankStanding>& standings);

// Whether ranks wait for the data server and the coordinator cannot reach it either. That is no rank's fault, so the attempt's
// no-progress timer stops and failures are not counted. If only a rank cannot reach the server, its report is ignored, because
// it would otherwise hold its slots forever (docs/decisions/0035).
bool WaitsForLostServer(const std::vector<RankStanding>& standings, const Soft& soft);

// "data server 10.0.0.7:7072, unreachable for 3m10s"
std::string DescribeOutage(const Soft& soft, absl::Time now);

}  // namespace muster
