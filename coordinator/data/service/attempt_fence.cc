#include "coordinator/data/service/attempt_fence.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace muster {

absl::Status AttemptFence::Admit(const std::string& job, uint32_t attempt) {
  absl::MutexLock lock(&mutex_);
  const auto [found, is_new] = entries_.try_emplace(job);
  Entry& entry = found->second;
  if (is_new) {
    entry.place = by_use_.insert(by_use_.begin(), job);
  } else {
    by_use_.splice(by_use_.begin(), by_use_, entry.place);
  }
  entry.newest = std::max(entry.newest, attempt);
  const uint32_t newest = entry.newest;
  if (entries_.size() > kMaxJobs) {
    entries_.erase(by_use_.back());
    by_use_.pop_back();
  }
  if (attempt == newest) return absl::OkStatus();
  return WithReason(absl::FailedPreconditionError(absl::StrCat("job ", job, ": attempt ", attempt,
                                                               " has ended, attempt ", newest, " was seen")),
                    "STALE_ATTEMPT");
}

size_t AttemptFence::jobs() const {
  absl::MutexLock lock(&mutex_);
  return entries_.size();
}

}  // namespace muster
