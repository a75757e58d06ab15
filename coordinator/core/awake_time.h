// How long the coordinator itself has been awake since some moment.
//
// Every deadline of the coordinator (a silent worker, a late reservation, a stop, missing progress) is counted in this
// time. A coordinator that was frozen (SIGSTOP, a stalled disk, a virtual machine that was moved) or that was behind its
// queue has received nothing meanwhile, so that time counts against nobody.
#pragma once

#include <deque>
#include <utility>

#include "absl/time/time.h"

namespace muster {

class AwakeTime {
 public:
  // The coordinator received nothing in [from, until). Calls come in the order of time.
  void AddGap(absl::Time from, absl::Time until);
  // From `since` to `now`, less the gaps in between; never negative.
  absl::Duration Between(absl::Time since, absl::Time now) const;

 private:
  std::deque<std::pair<absl::Time, absl::Time>> gaps_;  // disjoint, oldest first; those of the last hour
};

}  // namespace muster
