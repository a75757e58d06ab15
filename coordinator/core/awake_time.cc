#include "coordinator/core/awake_time.h"

#include <algorithm>

namespace muster {
namespace {

constexpr absl::Duration kKept = absl::Hours(1);  // far more than the longest deadline

}  // namespace

void AwakeTime::AddGap(absl::Time from, absl::Time until) {
  if (!gaps_.empty()) from = std::max(from, gaps_.back().second);
  if (from >= until) return;
  if (!gaps_.empty() && gaps_.back().second == from) {
    gaps_.back().second = until;
  } else {
    gaps_.emplace_back(from, until);
  }
  while (gaps_.front().second < until - kKept) gaps_.pop_front();
}

absl::Duration AwakeTime::Between(absl::Time since, absl::Time now) const {
  absl::Duration awake = now - since;
  for (auto gap = gaps_.rbegin(); gap != gaps_.rend() && gap->second > since; ++gap) {
    awake -= std::max(absl::ZeroDuration(), std::min(gap->second, now) - std::max(gap->first, since));
  }
  return std::max(awake, absl::ZeroDuration());
}

}  // namespace muster
