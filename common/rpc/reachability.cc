#include "common/rpc/reachability.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "common/clock.h"
#include "common/rpc/health.h"

namespace muster {

bool Answers(const std::shared_ptr<grpc::Channel>& channel, absl::Duration within) {
  // A call that waits makes the channel connect (common/rpc/retry.h).
  if (!channel->WaitForConnected(absl::ToChronoTime(RealClock().Now() + within))) return false;
  const absl::Status status = CheckHealth(channel, "", within).status();
  return !absl::IsUnavailable(status) && !absl::IsDeadlineExceeded(status);
}

ReachabilityWatch::ReachabilityWatch(Options options) : options_(std::move(options)) {
  thread_ = std::thread([this] { Run(); });
}

ReachabilityWatch::~ReachabilityWatch() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

std::string ReachabilityWatch::Unreachable() const {
  absl::MutexLock lock(&mutex_);
  return unreachable_ && !waits_.empty() ? options_.name : "";
}

absl::Duration ReachabilityWatch::UntilDue() const {
  absl::Duration oldest = absl::InfiniteDuration();
  for (const Wait* wait : waits_) oldest = std::min(oldest, wait->since_);
  return oldest + options_.patience - RealClock().Monotonic();
}

void ReachabilityWatch::Run() {
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      const auto awake = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopping_ || !waits_.empty(); };
      mutex_.Await(absl::Condition(&awake));
      if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), UntilDue())) return;
      if (waits_.empty() || UntilDue() > absl::ZeroDuration()) continue;
    }
    const bool answers = Answers(options_.channel, options_.answer_within);
    absl::MutexLock lock(&mutex_);
    if (unreachable_ == answers) {
      unreachable_ = !answers;
      if (unreachable_) spdlog::warn("{} cannot be reached: waiting for it", options_.name);
      if (answers) spdlog::info("{} can be reached again", options_.name);
    }
    if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), options_.patience)) return;
  }
}

ReachabilityWatch::Wait::Wait(ReachabilityWatch* watch) : watch_(watch) {
  if (watch_ == nullptr) return;
  absl::MutexLock lock(&watch_->mutex_);
  since_ = RealClock().Monotonic();
  watch_->waits_.insert(this);
}

ReachabilityWatch::Wait::~Wait() {
  if (watch_ == nullptr) return;
  absl::MutexLock lock(&watch_->mutex_);
  watch_->waits_.erase(this);
  if (watch_->waits_.empty()) watch_->unreachable_ = false;  // the next wait checks again
}

void ReachabilityWatch::Wait::Moved() {
  if (watch_ == nullptr) return;
  absl::MutexLock lock(&watch_->mutex_);
  since_ = RealClock().Monotonic();
  watch_->unreachable_ = false;
}

}  // namespace muster
