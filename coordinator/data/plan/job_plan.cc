#include "coordinator/data/plan/job_plan.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace muster {

absl::StatusOr<JobPlan> MakeJobPlan(const Dataset& dataset, const muster::v1::JobSpec& spec,
                                    const muster::v1::ResolvedJob& resolved) {
  if (resolved.stages_size() != spec.stages_size()) {
    return absl::FailedPreconditionError(absl::StrCat("the job has ", spec.stages_size(), " stages, but was resolved with ",
                                                      resolved.stages_size(), ". Submit it again."));
  }
  JobPlan plan;
  plan.stages = StagesOf(resolved);
  for (size_t i = 0; i < plan.stages.size(); ++i) {
    auto inputs = MakePlanInputs(dataset, SpecOfStage(spec, i));
    if (!inputs.ok() && !spec.stages().empty()) return WithContext(inputs.status(), absl::StrCat("stages[", i, "]"));
    RETURN_IF_ERROR(inputs.status());
    plan.inputs.push_back(*std::move(inputs));
  }
  return plan;
}

StepPlan PlanStep(const JobPlan& plan, uint64_t step) {
  const size_t stage = StageAt(plan.stages, step);
  StepPlan planned = PlanStep(plan.inputs[stage], step - plan.stages[stage].begin);
  planned.step = step;
  planned.stage = static_cast<uint32_t>(stage);
  return planned;
}

}  // namespace muster
