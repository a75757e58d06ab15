// The one reduction of a step's gradients, bucket by bucket while the last backward pass still fills the others.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "worker/rank/collective/group.h"
#include "worker/rank/train/flat_gradients.h"

namespace torch::autograd {
struct Node;
}

namespace muster {

// Reduces the gradients of one step. Made, used and destroyed by the thread that calls backward(); autograd's threads
// report to it during that call. Buckets start from the last to the first on every rank, whichever of them is ready
// first.
class GradientReduction {
 public:
  // All must outlive it.
  GradientReduction(FlatGradients& gradients, std::span<Parameter> parameters, Group& group);
  ~GradientReduction();
  GradientReduction(const GradientReduction&) = delete;
  GradientReduction& operator=(const GradientReduction&) = delete;

  // The backward pass that follows is the step's last: nothing is added to a parameter's gradient after it. Call it
  // when that pass's graph exists.
  void ExpectLast();
  // The number of buckets whose reduction has begun.
  int64_t started() const;
  // Call it after that pass. Starts the remaining buckets and waits for all; then gradients hold their sums over the ranks.
  absl::Status Finish();

 private:
  struct Hook;
  void Ready(size_t parameter);
  void StartNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  FlatGradients& gradients_;
  const std::span<Parameter> parameters_;
  Group& group_;
  std::vector<std::pair<std::shared_ptr<torch::autograd::Node>, uintptr_t>> hooks_;  // the node of each hook, and its key

  // On a GPU, parameters to which a hand-written backward has added report on the calling thread, the others on autograd's
  // threads.
  mutable absl::Mutex mutex_;
  std::vector<bool> ready_ ABSL_GUARDED_BY(mutex_);       // by parameter
  std::vector<int64_t> missing_ ABSL_GUARDED_BY(mutex_);  // by bucket: parameters that are not ready
  std::vector<std::unique_ptr<Pending>> started_ ABSL_GUARDED_BY(mutex_);  // buckets from the last to the first
};

}  // namespace muster
