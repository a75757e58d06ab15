// A rank's current activity, written by its training thread and read by the thread that reports it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "worker/rank/collective/group.h"

namespace muster {

// Thread-safe. A step writes about 20 times, each an uncontended lock and a copy of a short string.
class ActivityBoard {
 public:
  struct Entry {
    uint64_t step = 0;         // steps done
    std::string phase;         // "encode", "gather"; outside of steps "evaluating (untrained)", "evaluating (untrained), exchange"
    uint64_t collectives = 0;  // begun
    bool in_collective = false;
    bool operator==(const Entry&) const = default;
  };
  Entry Read() const;

  void SetActivity(absl::string_view activity);  // the activity outside of steps
  void SetPhase(absl::string_view phase);        // the phase of the step in progress; ends the activity
  void SetStep(uint64_t done);
  void BeginCollective(absl::string_view operation);  // CountCollective and AwaitCollective
  void CountCollective();                             // an operation was started; the rank does other things meanwhile
  void AwaitCollective(absl::string_view operation);
  void EndCollective();

 private:
  mutable absl::Mutex mutex_;
  uint64_t step_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string activity_ ABSL_GUARDED_BY(mutex_);  // empty: a step
  std::string phase_ ABSL_GUARDED_BY(mutex_);
  std::string operation_ ABSL_GUARDED_BY(mutex_);  // empty: in no collective
  uint64_t collectives_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Wraps the group, so that each of its operations is shown on the board. The board must outlive it.
std::unique_ptr<Group> MakeObservedGroup(std::unique_ptr<Group> group, ActivityBoard& board);

}  // namespace muster
