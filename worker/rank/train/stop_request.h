// How a rank is asked to stop. All ranks of an attempt stop after the same step.
#pragma once

namespace muster {

// Ranks send these numbers to each other.
enum class StopRequest : int {
  kNone = 0,
  kNow = 1,   // after the step in progress, without a checkpoint: none is needed
  kSave = 2,  // after the step in progress, with a checkpoint of that step
};

// The request that all ranks follow if theirs differ. The more urgent one wins: a rank that must stop now cannot save.
constexpr StopRequest MergeStopRequests(StopRequest a, StopRequest b) {
  if (a == StopRequest::kNow || b == StopRequest::kNow) return StopRequest::kNow;
  return a == StopRequest::kSave || b == StopRequest::kSave ? StopRequest::kSave : StopRequest::kNone;
}

}  // namespace muster
