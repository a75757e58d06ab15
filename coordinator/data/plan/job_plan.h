// The plans of all steps of a job. A stage has the plans of the separate job that SpecOfStage describes (common/spec/stages.h).
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/spec/stages.h"
#include "coordinator/data/plan/step_plan.h"

namespace muster {

struct JobPlan {
  JobPlan() = default;
  explicit JobPlan(PlanInputs of_one_stage) : stages(1) { inputs.push_back(std::move(of_one_stage)); }

  std::vector<Stage> stages;  // never empty
  std::vector<PlanInputs> inputs;  // one per stage
};
// All of a job's inputs except the identity. INVALID_ARGUMENT, naming the stage, if the dataset lacks a split or a source.
// Keeps a pointer to the dataset.
absl::StatusOr<JobPlan> MakeJobPlan(const Dataset& dataset, const muster::v1::JobSpec& spec,
                                    const muster::v1::ResolvedJob& resolved);

// `step` and the result's step count from the beginning of the job; the result's epoch counts from the beginning of its
// stage.
StepPlan PlanStep(const JobPlan& plan, uint64_t step);

}  // namespace muster
