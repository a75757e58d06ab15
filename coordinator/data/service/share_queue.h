// Shares of one stream that are planned before they are sent.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "muster/internal/v1/data_plane.pb.h"

namespace muster {

// Plans the steps begin..end-1 in a separate thread, at most kMaxSteps and (except for one share) kMaxBytes ahead.
// Pop is for one thread. The destructor stops after the share that is being planned.
class ShareQueue {
 public:
  static constexpr size_t kMaxSteps = 64;
  static constexpr size_t kMaxBytes = 64 << 20;
  using Plan = std::function<absl::StatusOr<muster::internal::v1::StepShare>(uint64_t step)>;

  ShareQueue(uint64_t begin, uint64_t end, Plan plan);
  ~ShareQueue();

  // The next share; nullopt if none was ready within `patience`. OUT_OF_RANGE after the last, or the error of its
  // planning.
  absl::StatusOr<std::optional<muster::internal::v1::StepShare>> Pop(absl::Duration patience)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Planned {
    muster::internal::v1::StepShare share;
    size_t bytes;
  };
  void Run(uint64_t begin, uint64_t end, const Plan& plan) ABSL_LOCKS_EXCLUDED(mutex_);
  bool HasRoom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopped_ || shares_.empty() || (shares_.size() < kMaxSteps && bytes_ < kMaxBytes);
  }
  bool HasNews() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !shares_.empty() || !end_.ok(); }

  absl::Mutex mutex_;
  std::deque<Planned> shares_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status end_ ABSL_GUARDED_BY(mutex_);  // if not OK, why nothing more is planned
  std::thread planner_;
};

}  // namespace muster
