#include "coordinator/data/service/attempt_fence.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace muster {

absl::Status AttemptFence::Admit(const std::string& job, uint32_t attempt) {
  absl::MutexLock lock(&mutex_);
  uint32_t& newest = newest_[job];
  newest = std::max(newest, attempt);
  if (attempt == newest) return absl::OkStatus();
  return WithReason(absl::FailedPreconditionError(absl::StrCat("job ", job, ": attempt ", attempt,
                                                               " is over, attempt ", newest, " was seen")),
                    "STALE_ATTEMPT");
}

}  // namespace muster
