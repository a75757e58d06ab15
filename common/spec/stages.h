// The stages of a job (JobSpec.stages): consecutive parts of its training. A job whose file has no `stages` counts as one
// stage that has all of its steps.
//
// Law: a stage trains exactly as a separate job whose specification is SpecOfStage and that starts from the previous stage's
// model. So steps, epochs, the schedule, the data order and dropout all count from the stage's first step.
//
// Example: 40 steps of stage 0, then 10 of stage 1. Step 42 of the job is step 2 of stage 1.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "muster/v1/job.pb.h"

namespace muster {

// Bounded, because the data server and the ranks keep state per stage.
inline constexpr int kMaxStages = 16;

struct Stage {
  uint64_t begin = 0, end = 0;  // its steps are begin .. end - 1 of the job, which counts from 0
  uint64_t steps_per_epoch = 0;
  uint64_t epochs_before = 0;  // number of epochs that earlier stages began; makes the numbers of a job's epochs unique
  bool operator==(const Stage&) const = default;
};
// In training order; never empty. The last stage ends with the job.
std::vector<Stage> StagesOf(const muster::v1::ResolvedJob& resolved);
// Index of the stage that `step` belongs to; for a step beyond the job's end, the last stage.
size_t StageAt(std::span<const Stage> stages, uint64_t step);

// The specification and the resolution of the separate job that trains exactly as stage `index` does. For a job without
// stages, the arguments themselves.
muster::v1::JobSpec SpecOfStage(const muster::v1::JobSpec& spec, size_t index);
muster::v1::ResolvedJob ResolvedOfStage(const muster::v1::ResolvedJob& resolved, size_t index);

// Copies `optimizer`'s settings into each stage that leaves them out. Idempotent.
void FillStages(muster::v1::JobSpec& spec);
// INVALID_ARGUMENT with a message of the form "stages[1]: what is wrong. What to do."
absl::Status CheckStages(const muster::v1::JobSpec& spec);

// "llm 3 epochs; human 40 steps"; empty if the job has no stages.
std::string StagesText(const muster::v1::JobSpec& spec);

}  // namespace muster
