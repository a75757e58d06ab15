// The stages of a job (JobSpec.stages): parts of its training that follow each other. A job without stages has one, of all
// its steps.
//
// Law: a stage trains as a separate job would, with SpecOfStage as its specification and the model of the stage before as
// its model. So its steps, epochs, schedule, data order and dropout all count from the stage's first step.
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

// Whoever plans or trains a job keeps something per stage.
inline constexpr int kMaxStages = 16;

struct Stage {
  uint64_t begin = 0, end = 0;  // steps of the job, from 0; `end` is the first that is not the stage's
  uint64_t steps_per_epoch = 0;
  uint64_t epochs_before = 0;  // epochs that earlier stages began, so that each epoch of a job has its own number
  bool operator==(const Stage&) const = default;
};
// In their order; never empty. The last one ends with the job.
std::vector<Stage> StagesOf(const muster::v1::ResolvedJob& resolved);
// Index of the stage that takes `step`; steps beyond the end count to the last one.
size_t StageAt(std::span<const Stage> stages, uint64_t step);

// The specification and the resolution of the job that would train as stage `index` does. Those of a job without stages
// are returned as they are.
muster::v1::JobSpec SpecOfStage(const muster::v1::JobSpec& spec, size_t index);
muster::v1::ResolvedJob ResolvedOfStage(const muster::v1::ResolvedJob& resolved, size_t index);

// Fills in what a stage takes from `optimizer`. Idempotent.
void FillStages(muster::v1::JobSpec& spec);
// INVALID_ARGUMENT, "stages[1]: what is wrong. What to do."
absl::Status CheckStages(const muster::v1::JobSpec& spec);

// "llm 3 epochs; human 40 steps"; empty: the job has no stages.
std::string StagesText(const muster::v1::JobSpec& spec);

}  // namespace muster
