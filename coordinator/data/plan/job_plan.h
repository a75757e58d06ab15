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
  explicit JobPlan(TrainingInputs of_one_stage) : stages(1) { inputs.push_back(std::move(of_one_stage)); }

  std::vector<Stage> stages;  // never empty
  std::vector<TrainingInputs> inputs;  // one per stage
};
// The texts of the job's training sets. `datasets`: one per set. INVALID_ARGUMENT if one lacks the set's split.
absl::StatusOr<TrainingTexts> JoinTrainingSets(const std::vector<const Dataset*>& datasets, const muster::v1::DataSpec& data);

// All of a job's inputs except the identity. `datasets`: one per training set (common/spec/training_sets.h). INVALID_ARGUMENT,
// naming the stage, if a dataset lacks a split or all of them lack a source. Keeps pointers to the datasets.
absl::StatusOr<JobPlan> MakeJobPlan(const std::vector<const Dataset*>& datasets, const muster::v1::JobSpec& spec,
                                    const muster::v1::ResolvedJob& resolved);

// `step` and the result's step count from the beginning of the job; the result's epoch counts from the beginning of its
// stage.
StepPlan PlanStep(const JobPlan& plan, uint64_t step);

}  // namespace muster
