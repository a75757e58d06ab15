#include "coordinator/core/model_source.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/spec/job_source.h"
#include "common/spec/job_spec.h"
#include "common/status.h"
#include "coordinator/core/view.h"

namespace muster {
namespace {

using journal::v1::StoredJob;
using muster::v1::CheckpointInfo;
using muster::v1::ModelCheckpoint;

absl::Status Missing(const std::string& what) { return absl::FailedPreconditionError(absl::StrCat("model.from: ", what)); }

std::string StepsOf(const StoredJob& job) {
  std::vector<uint64_t> steps;
  for (const CheckpointInfo& checkpoint : job.checkpoints()) steps.push_back(checkpoint.step());
  return absl::StrCat(steps.size() == 1 ? "step " : "steps ", absl::StrJoin(steps, ", "));
}

absl::StatusOr<ModelSource> ExportOf(const StoredJob& job) {
  if (!job.export_manifest().empty()) return ModelSource{job.export_manifest(), std::nullopt};
  const std::string state = absl::StrCat("job ", job.id(), " is ", PhaseName(job.phase()), " and has no model. ");
  const std::string checkpoints =
      job.checkpoints().empty() ? "" : absl::StrCat(" It has checkpoints of ", StepsOf(job), ": job:", job.id(), "@",
                                                    job.checkpoints().rbegin()->step(), ".");
  if (!IsFinal(job.phase())) {
    return Missing(absl::StrCat(state, "Wait for its end: muster watch ", job.id(), ".", checkpoints));
  }
  return Missing(absl::StrCat(
      state, checkpoints.empty() ? "It will never have one: name another job, or submit that one again." : checkpoints.substr(1)));
}

// Why the job has no checkpoint of the step, and what to do.
absl::Status NoCheckpoint(const StoredJob& job, uint64_t step) {
  const std::string state = absl::StrCat("job ", job.id(), " has no checkpoint of step ", step, ". ");
  if (!job.checkpoints().empty()) return Missing(absl::StrCat(state, "It has those of ", StepsOf(job), "."));
  if (EvaluatesOnly(job.spec())) return Missing(absl::StrCat(state, "It trains nothing."));
  if (job.phase() == muster::v1::JOB_PHASE_SUCCEEDED) {
    return Missing(absl::StrCat(state, "Its checkpoints were removed when it succeeded. Use the model that it exported, job:",
                                job.id(), ", or submit it again with checkpoint.keep_after_success: true."));
  }
  if (IsFinal(job.phase())) return Missing(absl::StrCat(state, "It ended (", PhaseName(job.phase()), ") before its first one."));
  return Missing(absl::StrCat(state, "It is ", PhaseName(job.phase()), ", and its first one will be that of step ",
                              job.spec().checkpoint().every_steps(), "."));
}

int LinksOf(const ModelCheckpoint& checkpoint) {
  int links = 1;
  for (const ModelCheckpoint* link = &checkpoint; link->has_base(); link = &link->base()) ++links;
  return links;
}

absl::StatusOr<ModelSource> CheckpointOf(const StoredJob& job, uint64_t step) {
  const auto found = std::find_if(job.checkpoints().begin(), job.checkpoints().end(),
                                  [&](const CheckpointInfo& known) { return known.step() == step; });
  if (found == job.checkpoints().end()) return NoCheckpoint(job, step);
  const muster::v1::ResolvedJob& resolved = job.resolved();
  if (resolved.tokenizer_manifest().empty()) {
    return Missing(absl::StrCat("job ", job.id(), " was submitted to a version that did not keep what its checkpoints need. "
                                "Submit it again."));
  }
  ModelSource source = {resolved.model_manifest(), ModelCheckpoint()};
  ModelCheckpoint& checkpoint = *source.checkpoint;
  checkpoint.set_job_id(job.id());
  checkpoint.set_step(step);
  checkpoint.set_manifest(found->manifest());
  *checkpoint.mutable_model() = job.spec().model();
  if (job.spec().has_seed()) checkpoint.set_seed(job.spec().seed());
  // Jobs that were resolved before prompts were kept use those of the specification.
  *checkpoint.mutable_prompts() = resolved.has_prompts() ? resolved.prompts() : job.spec().model().prompts();
  checkpoint.set_vocabulary_size(resolved.vocabulary_size());
  checkpoint.set_tokenizer_manifest(resolved.tokenizer_manifest());
  if (resolved.has_model_checkpoint()) *checkpoint.mutable_base() = resolved.model_checkpoint();
  if (LinksOf(checkpoint) > kMostLinks) {
    return Missing(absl::StrCat("job ", job.id(), " continues from a checkpoint of a job that continues from a checkpoint, and so "
                                "on, more than ", kMostLinks, " times. Start from a model that one of them exported."));
  }
  return source;
}

}  // namespace

absl::StatusOr<ModelSource> SourceOfModel(const State& state, const std::string& from) {
  const absl::StatusOr<JobSource> source = ParseJobSource(from);
  if (!source.ok()) return WithContext(source.status(), "model.from");
  const JobRecord* record = FindJob(state, source->job);
  if (record == nullptr) return WithContext(NoSuchJob(source->job), "model.from");
  return source->step.has_value() ? CheckpointOf(record->job(), *source->step) : ExportOf(record->job());
}

absl::Status CheckStillKept(const State& state, const muster::v1::ResolvedJob& resolved) {
  if (!resolved.has_model_checkpoint()) return absl::OkStatus();
  const ModelCheckpoint& checkpoint = resolved.model_checkpoint();
  const absl::StatusOr<ModelSource> now =
      SourceOfModel(state, ToString(JobSource{.job = checkpoint.job_id(), .step = checkpoint.step()}));
  if (!now.ok()) return now.status();
  if (now->checkpoint->manifest() == checkpoint.manifest()) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat("model.from: the checkpoint of step ", checkpoint.step(), " of job ", checkpoint.job_id(),
                                         " was replaced meanwhile. Submit again."));
}

}  // namespace muster
