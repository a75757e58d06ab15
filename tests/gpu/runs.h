// Runs of a few steps that stop at a checkpoint and continue, for the parts that compare them.
#pragma once

#include <filesystem>

#include "absl/status/status.h"
#include "tests/gpu/session.h"
#include "worker/rank/collective/group.h"
#include "worker/rank/model/encoder.h"
#include "worker/rank/train/trainer.h"

namespace muster {

struct RunKind {
  EncoderConfig config;
  EncoderOptions encoder;
  TrainerOptions trainer;
};

// An undisturbed run, and two that start from its checkpoint in fresh objects: all three must end in the same bytes, whose
// digest becomes a figure. All ranks of the group call it together.
absl::Status CompareResumedRuns(Group& group, const RunKind& kind, const std::filesystem::path& folder, Figures& figures);

}  // namespace muster
