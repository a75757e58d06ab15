// How long the coordinator itself has been awake since some moment.
//
// Every deadline of the coordinator (a silent worker, a late reservation, a stop, missing progress) is counted in this
// time. A coordinator that was frozen (SIGSTOP, a stalled disk, a virtual machine that was moved), or was behind its queue,
// received nothing during that time, so the time does not count against any worker.
#pragma once

#include <deque>
#include <utility>

#include "absl/time/time.h"

namespace muster {

class AwakeTime {
 public:
  // The coordinator received nothing in [from, until). Calls come in the order of time.
  void AddGap(absl::Time from, absl::Time until);
  // The time from `since` to `now`, without the gaps in between; never negative.
  absl::Duration Between(absl::Time since, absl::Time now) const;

 private:
  std::deque<std::pair<absl::Time, absl::Time>> gaps_;  // disjoint, oldest first; those of the last hour
};

}  // namespace muster
