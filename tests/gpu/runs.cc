#include "tests/gpu/runs.h"

#include "common/status.h"
#include "tests/gpu/problem_step.h"
#include "worker/rank/train/checkpoint.h"

namespace muster {
namespace {

constexpr uint64_t kSteps = 8, kCheckpoint = 3;

// Takes the steps [first, last), each on a different problem.
absl::Status TakeSteps(Trainer& trainer, Group& group, const RunKind& kind, uint64_t first, uint64_t last) {
  for (uint64_t step = first; step < last; ++step) {
    Problem problem = MakeProblem(40 + step, /*one_positive=*/false);
    problem.step = step;
    ASSIGN_OR_RETURN(const StepBatch batch, ProblemBatch(problem, group, kind.encoder.device, kind.config));
    RETURN_IF_ERROR(trainer.Step(batch).status());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Undisturbed(Group& group, const RunKind& kind, const std::filesystem::path& folder) {
  ASSIGN_OR_RETURN(const auto encoder, Encoder::Random(kind.config, 11, kind.encoder));
  Trainer trainer(*encoder, group, RealClock(), kind.trainer);
  RETURN_IF_ERROR(TakeSteps(trainer, group, kind, 0, kCheckpoint));
  if (group.rank() == 0) {
    const TrainingCursor cursor{.step = kCheckpoint, .spec_digest = "x"};
    CheckpointCopy copy;
    copy.Take(*encoder, trainer.optimizer(), cursor, {});
    RETURN_IF_ERROR(copy.WriteTo(folder));
  }
  RETURN_IF_ERROR(group.Barrier());
  RETURN_IF_ERROR(TakeSteps(trainer, group, kind, kCheckpoint, kSteps));
  return ParameterDigest(encoder->parameters());
}

absl::StatusOr<std::string> Resumed(Group& group, const RunKind& kind, const std::filesystem::path& folder) {
  // Different weights at first.
  ASSIGN_OR_RETURN(const auto encoder, Encoder::Random(kind.config, 99, kind.encoder));
  Trainer trainer(*encoder, group, RealClock(), kind.trainer);
  ASSIGN_OR_RETURN(const RestoredCheckpoint restored, RestoreCheckpoint(folder, "x", *encoder, trainer.optimizer()));
  RETURN_IF_ERROR(TakeSteps(trainer, group, kind, restored.cursor.step, kSteps));
  return ParameterDigest(encoder->parameters());
}

}  // namespace

absl::Status CompareResumedRuns(Group& group, const RunKind& kind, const std::filesystem::path& folder, Figures& figures) {
  ASSIGN_OR_RETURN(const std::string whole, Undisturbed(group, kind, folder));
  ASSIGN_OR_RETURN(const std::string once, Resumed(group, kind, folder));
  ASSIGN_OR_RETURN(const std::string twice, Resumed(group, kind, folder));
  figures["digest"] = whole;
  if (once != twice) return absl::InternalError("two runs from one checkpoint end in different bytes");
  if (once != whole) return absl::InternalError("the resumed run ends in other bytes than the undisturbed one");
  return absl::OkStatus();
}

}  // namespace muster
