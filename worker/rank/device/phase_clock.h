// How long each phase of a step takes on the device, without waiting for it.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "worker/rank/device/step_phase.h"
#include "worker/rank/device/streams.h"

namespace muster {

// Not thread-safe. `streams` must outlive it.
class PhaseClock {
 public:
  explicit PhaseClock(Streams& streams) : streams_(streams) {}

  void Begin();                  // of a step
  void Mark(StepPhase phase);  // work enqueued since the last Mark or Begin belongs to this phase
  // Seconds by phase of the newest step whose work is done. On the CPU that is this step. On a GPU this step's last work
  // usually still runs, so it is the previous step, and the result is empty in the first step.
  PhaseSeconds Finish();

 private:
  struct Step {
    std::unique_ptr<StreamEvent> begin;
    std::vector<std::pair<StepPhase, std::unique_ptr<StreamEvent>>> marks;
  };
  bool Past(const Step& step);
  PhaseSeconds SecondsOf(const Step& step);

  Streams& streams_;
  Step current_, before_;
};

}  // namespace muster
