#include "coordinator/data/service/removal_gate.h"

#include "common/status.h"

namespace muster {

RemovalGate::Pass RemovalGate::Hold() {
  const auto none = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return removals_ == 0; };
  absl::MutexLock lock(&mutex_);
  ++holders_;
  mutex_.Await(absl::Condition(&none));
  return Pass(nullptr, [this](void*) {
    absl::MutexLock lock(&mutex_);
    --holders_;
  });
}

absl::StatusOr<RemovalGate::Pass> RemovalGate::BeginRemoval() {
  absl::MutexLock lock(&mutex_);
  if (holders_ > 0) {
    return WithReason(absl::UnavailableError("a backup is being taken, and nothing is removed meanwhile. Try again later."),
                      "BACKUP_RUNS");
  }
  ++removals_;
  return Pass(nullptr, [this](void*) {
    absl::MutexLock lock(&mutex_);
    --removals_;
  });
}

}  // namespace muster
