// The phases of a training step, for measuring where its time goes.
#pragma once

#include <array>
#include <map>

namespace muster {

// In the order of a step. `kOptimize` is called "optimise" outside: metrics and step logs have that name.
enum class StepPhase { kData, kEncode, kGather, kLoss, kBackward, kReduce, kOptimize };
inline constexpr std::array kStepPhases = {StepPhase::kData,     StepPhase::kEncode, StepPhase::kGather,  StepPhase::kLoss,
                                           StepPhase::kBackward, StepPhase::kReduce, StepPhase::kOptimize};

// Its name in progress reports, metrics and step logs.
constexpr const char* PhaseName(StepPhase phase) {
  switch (phase) {
    case StepPhase::kData: return "data";
    case StepPhase::kEncode: return "encode";
    case StepPhase::kGather: return "gather";
    case StepPhase::kLoss: return "loss";
    case StepPhase::kBackward: return "backward";
    case StepPhase::kReduce: return "reduce";
    case StepPhase::kOptimize: return "optimise";
  }
  return "";
}

using PhaseSeconds = std::map<StepPhase, double>;  // without phases that took no time

}  // namespace muster
