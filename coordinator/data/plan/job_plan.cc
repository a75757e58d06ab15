#include "coordinator/data/plan/job_plan.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/spec/training_sets.h"
#include "common/status.h"

namespace muster {

absl::StatusOr<TrainingTexts> JoinTrainingSets(const std::vector<const Dataset*>& datasets, const muster::v1::DataSpec& data) {
  const std::vector<muster::v1::TrainingSet> named = TrainingSetsOf(data);
  if (datasets.size() != named.size() || datasets.empty()) {
    return absl::FailedPreconditionError(absl::StrCat("the job has ", named.size(), " training sets, but was resolved with ",
                                                      datasets.size(), ". Submit it again."));
  }
  std::vector<TrainingTexts::Set> sets;
  for (size_t i = 0; i < datasets.size(); ++i) {
    ASSIGN_OR_RETURN(const uint32_t split, FindSplit(*datasets[i], named[i].split(), TrainingSplitField(data, i)));
    sets.push_back({datasets[i], split});
  }
  return TrainingTexts::Join(sets);
}

absl::StatusOr<JobPlan> MakeJobPlan(const std::vector<const Dataset*>& datasets, const muster::v1::JobSpec& spec,
                                    const muster::v1::ResolvedJob& resolved) {
  if (resolved.stages_size() != spec.stages_size()) {
    return absl::FailedPreconditionError(absl::StrCat("the job has ", spec.stages_size(), " stages, but was resolved with ",
                                                      resolved.stages_size(), ". Submit it again."));
  }
  ASSIGN_OR_RETURN(TrainingTexts joined, JoinTrainingSets(datasets, spec.data()));
  const auto texts = std::make_shared<const TrainingTexts>(std::move(joined));
  JobPlan plan;
  plan.stages = StagesOf(resolved);
  for (size_t i = 0; i < plan.stages.size(); ++i) {
    auto inputs = MakeTrainingInputs(texts, SpecOfStage(spec, i));
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
