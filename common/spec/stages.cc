#include "common/spec/stages.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace muster {

using muster::v1::JobSpec;
using muster::v1::ResolvedJob;
using muster::v1::StageSpec;

std::vector<Stage> StagesOf(const ResolvedJob& resolved) {
  if (resolved.stages().empty()) return {{.end = resolved.total_steps(), .steps_per_epoch = resolved.steps_per_epoch()}};
  std::vector<Stage> stages;
  uint64_t begin = 0, epochs = 0;
  for (const muster::v1::ResolvedStage& stage : resolved.stages()) {
    stages.push_back({.begin = begin,
                      .end = begin + stage.steps(),
                      .steps_per_epoch = stage.steps_per_epoch(),
                      .epochs_before = epochs});
    begin = stages.back().end;
    const uint64_t per_epoch = std::max<uint64_t>(1, stage.steps_per_epoch());
    epochs += (stage.steps() + per_epoch - 1) / per_epoch;
  }
  return stages;
}

size_t StageAt(std::span<const Stage> stages, uint64_t step) {
  size_t index = 0;
  while (index + 1 < stages.size() && step >= stages[index].end) ++index;
  return index;
}

JobSpec SpecOfStage(const JobSpec& spec, size_t index) {
  JobSpec own = spec;
  if (spec.stages().empty()) return own;
  const StageSpec& stage = spec.stages(static_cast<int>(index));
  own.clear_stages();
  if (!stage.sources().empty()) *own.mutable_data()->mutable_positives()->mutable_sources() = stage.sources();
  if (stage.has_learning_rate()) own.mutable_optimizer()->set_learning_rate(stage.learning_rate());
  if (stage.has_warmup()) own.mutable_optimizer()->set_warmup(stage.warmup());
  if (stage.has_schedule()) own.mutable_optimizer()->set_schedule(stage.schedule());
  if (stage.has_steps()) {
    own.mutable_duration()->set_steps(stage.steps());
  } else {
    own.mutable_duration()->set_epochs(stage.epochs());
  }
  return own;
}

ResolvedJob ResolvedOfStage(const ResolvedJob& resolved, size_t index) {
  ResolvedJob own = resolved;
  if (resolved.stages().empty()) return own;
  const muster::v1::ResolvedStage& stage = resolved.stages(static_cast<int>(index));
  own.clear_stages();
  own.set_train_queries(stage.train_queries());
  own.set_steps_per_epoch(stage.steps_per_epoch());
  own.set_total_steps(stage.steps());
  return own;
}

void FillStages(JobSpec& spec) {
  const muster::v1::OptimizerSpec& optimizer = spec.optimizer();
  for (StageSpec& stage : *spec.mutable_stages()) {
    if (!stage.has_learning_rate()) stage.set_learning_rate(optimizer.learning_rate());
    if (!stage.has_warmup()) stage.set_warmup(optimizer.warmup());
    if (stage.schedule() == muster::v1::SCHEDULE_UNSPECIFIED) stage.set_schedule(optimizer.schedule());
  }
}

absl::Status CheckStages(const JobSpec& spec) {
  if (spec.stages().empty()) return absl::OkStatus();
  if (spec.stages_size() > kMaxStages) {
    return absl::InvalidArgumentError(
        absl::StrCat("stages: has ", spec.stages_size(), " stages, at most ", kMaxStages,
                     " are taken. Train the rest in a job with model.from: job:ID."));
  }
  if (spec.duration().length_case() != muster::v1::DurationSpec::LENGTH_NOT_SET) {
    return absl::InvalidArgumentError(
        "duration: cannot be combined with stages, which have their own lengths. Remove one of them.");
  }
  for (int i = 0; i < spec.stages_size(); ++i) {
    if (spec.stages(i).length_case() != StageSpec::LENGTH_NOT_SET) continue;
    return absl::InvalidArgumentError(absl::StrCat("stages[", i, "]: has no length. Give epochs or steps."));
  }
  return absl::OkStatus();
}

std::string StagesText(const JobSpec& spec) {
  return absl::StrJoin(spec.stages(), "; ", [&](std::string* out, const StageSpec& stage) {
    const auto& sources = stage.sources().empty() ? spec.data().positives().sources() : stage.sources();
    const uint64_t count = stage.has_steps() ? stage.steps() : stage.epochs();
    absl::StrAppend(out, sources.empty() ? "all sources" : absl::StrJoin(sources, ", "), " ", count,
                    stage.has_steps() ? " step" : " epoch", count == 1 ? "" : "s");
  });
}

}  // namespace muster
