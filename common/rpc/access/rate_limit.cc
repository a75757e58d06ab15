#include "common/rpc/access/rate_limit.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/rpc/errors.h"
#include "common/status.h"

namespace muster {
namespace {

constexpr size_t kManyUsers = 1000;  // above this number, users without recent calls are forgotten
constexpr absl::Duration kStreamWait = absl::Seconds(1);

absl::Status Limited(const std::string& message, absl::Duration wait) {
  return WithRetryAfter(WithReason(absl::ResourceExhaustedError(message), "RATE_LIMITED"), wait);
}

}  // namespace

absl::Duration TokenBucket::Take(absl::Duration now) {
  left_ = std::min(burst_, left_ + absl::ToDoubleSeconds(now - at_) * rate_);
  at_ = now;
  if (left_ < 1) return absl::Seconds((1 - left_) / rate_);
  left_ -= 1;
  return absl::ZeroDuration();
}

absl::Status RateLimiter::Admit(const std::string& user, bool stream, absl::Duration now) {
  absl::MutexLock lock(&mutex_);
  if (users_.size() >= kManyUsers) Forget(now);
  Use& use = users_.try_emplace(user, Use{{limits_.calls_per_second, limits_.burst, now}}).first->second;
  if (limits_.calls_per_second > 0) {
    const absl::Duration wait = use.calls.Take(now);
    if (wait > absl::ZeroDuration()) {
      return Limited(
          absl::StrCat("user ", user, " makes more than ", limits_.calls_per_second, " calls per second. Try again in ",
                       absl::FormatDuration(absl::Ceil(wait, absl::Milliseconds(1))), "."),
          wait);
    }
  }
  if (!stream) return absl::OkStatus();
  if (limits_.streams > 0 && use.streams >= limits_.streams) {
    return Limited(absl::StrCat("user ", user, " has ", use.streams, " streams open, which is the limit. Close some."),
                   kStreamWait);
  }
  ++use.streams;
  return absl::OkStatus();
}

void RateLimiter::EndStream(const std::string& user) {
  absl::MutexLock lock(&mutex_);
  const auto found = users_.find(user);
  if (found != users_.end()) --found->second.streams;
}

void RateLimiter::Forget(absl::Duration now) {
  std::erase_if(users_, [&](const auto& entry) { return entry.second.streams == 0 && entry.second.calls.IsFull(now); });
}

}  // namespace muster
