#include "worker/rank/device/phase_clock.h"

#include <utility>

namespace muster {

void PhaseClock::Begin() {
  current_.begin = streams_.Record(Lane::kCompute);
  current_.marks.clear();
}

void PhaseClock::Mark(StepPhase phase) { current_.marks.emplace_back(phase, streams_.Record(Lane::kCompute)); }

PhaseSeconds PhaseClock::Finish() {
  PhaseSeconds seconds;
  if (Past(current_)) {
    seconds = SecondsOf(current_);
  } else if (Past(before_)) {
    seconds = SecondsOf(before_);
  }
  before_ = std::exchange(current_, Step());
  return seconds;
}

bool PhaseClock::Past(const Step& step) { return !step.marks.empty() && streams_.Past(*step.marks.back().second); }

PhaseSeconds PhaseClock::SecondsOf(const Step& step) {
  PhaseSeconds seconds;
  const StreamEvent* last = step.begin.get();
  for (const auto& [phase, event] : step.marks) {
    seconds[phase] += streams_.SecondsBetween(*last, *event);
    last = event.get();
  }
  return seconds;
}

}  // namespace muster
