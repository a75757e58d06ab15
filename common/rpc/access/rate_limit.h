// Limits of what one user may request.
#pragma once

#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace muster {

struct UserLimits {
  double calls_per_second = 200;  // on average; 0: no limit
  double burst = 400;  // calls at once, after a pause
  int streams = 512;  // open at once; 0: no limit
};

// A bucket of `burst` calls that fills at `rate` per second. A pure value: time is an argument.
class TokenBucket {
 public:
  TokenBucket(double rate, double burst, absl::Duration now) : rate_(rate), burst_(burst), left_(burst), at_(now) {}
  // Zero: the call is allowed and counted. Otherwise the time until one is allowed.
  absl::Duration Take(absl::Duration now);
  bool IsFull(absl::Duration now) const { return left_ + absl::ToDoubleSeconds(now - at_) * rate_ >= burst_; }

 private:
  double rate_, burst_, left_;
  absl::Duration at_;
};

// Thread-safe. `now`: monotonic time.
class RateLimiter {
 public:
  explicit RateLimiter(const UserLimits& limits) : limits_(limits) {}

  // RESOURCE_EXHAUSTED (RATE_LIMITED, with the time to wait: common/rpc/errors.h). A stream that was admitted counts
  // until EndStream.
  absl::Status Admit(const std::string& user, bool stream, absl::Duration now);
  void EndStream(const std::string& user);

 private:
  struct Use {
    TokenBucket calls;
    int streams = 0;
  };
  void Forget(absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const UserLimits limits_;
  absl::Mutex mutex_;
  std::map<std::string, Use> users_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace muster
