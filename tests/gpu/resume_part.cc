// Resuming: a run that stops at a checkpoint and goes on in fresh objects ends in the bytes of the undisturbed run.
#include <ATen/ATen.h>

#include <filesystem>

#include "common/files.h"
#include "common/status.h"
#include "tests/gpu/problem_step.h"
#include "tests/gpu/ranks.h"
#include "worker/rank/train/checkpoint.h"

namespace muster {
namespace {

constexpr uint64_t kSteps = 8, kCheckpoint = 3;

// Takes the steps [first, last), each on a problem of its own.
absl::Status TakeSteps(Trainer& trainer, Group& group, at::Device device, uint64_t first, uint64_t last) {
  for (uint64_t step = first; step < last; ++step) {
    Problem problem = MakeProblem(40 + step, /*one_positive=*/false);
    problem.step = step;
    ASSIGN_OR_RETURN(const StepBatch batch, ProblemBatch(problem, group, device));
    RETURN_IF_ERROR(trainer.Step(batch).status());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Undisturbed(Group& group, at::Device device, const std::filesystem::path& folder) {
  ASSIGN_OR_RETURN(const auto encoder, Encoder::Random(ProblemConfig(), 11, {at::kFloat, device}));
  Trainer trainer(*encoder, group, RealClock(), StepOptions(muster::v1::OBJECTIVE_LSEPAIR));
  RETURN_IF_ERROR(TakeSteps(trainer, group, device, 0, kCheckpoint));
  if (group.rank() == 0) {
    const TrainingCursor cursor{.step = kCheckpoint, .spec_digest = "x"};
    CheckpointCopy copy;
    copy.Take(*encoder, trainer.optimizer(), cursor, {});
    RETURN_IF_ERROR(copy.WriteTo(folder));
  }
  RETURN_IF_ERROR(group.Barrier());
  RETURN_IF_ERROR(TakeSteps(trainer, group, device, kCheckpoint, kSteps));
  return ParameterDigest(encoder->parameters());
}

absl::StatusOr<std::string> Resumed(Group& group, at::Device device, const std::filesystem::path& folder) {
  // Other weights at first.
  ASSIGN_OR_RETURN(const auto encoder, Encoder::Random(ProblemConfig(), 99, {at::kFloat, device}));
  Trainer trainer(*encoder, group, RealClock(), StepOptions(muster::v1::OBJECTIVE_LSEPAIR));
  ASSIGN_OR_RETURN(const RestoredCheckpoint restored, RestoreCheckpoint(folder, "x", *encoder, trainer.optimizer()));
  RETURN_IF_ERROR(TakeSteps(trainer, group, device, restored.cursor.step, kSteps));
  return ParameterDigest(encoder->parameters());
}

absl::Status CompareRuns(Group& group, at::Device device, const std::filesystem::path& folder, Figures& figures) {
  ASSIGN_OR_RETURN(const std::string whole, Undisturbed(group, device, folder));
  ASSIGN_OR_RETURN(const std::string once, Resumed(group, device, folder));
  ASSIGN_OR_RETURN(const std::string twice, Resumed(group, device, folder));
  figures["digest"] = whole;
  if (once != twice) return absl::InternalError("two runs from one checkpoint end in different bytes");
  if (once != whole) return absl::InternalError("the resumed run ends in other bytes than the undisturbed one");
  return absl::OkStatus();
}

}  // namespace

absl::Status ResumeTask(const RankOrder& order, Group& group, at::Device device, Figures& report) {
  return CompareRuns(group, device, order.folder / "checkpoint", report);
}

void RunResumePart(Session& session) {
  session.Test("resume.one_rank", [&](Figures& figures) -> absl::Status {
    ASSIGN_OR_RETURN(const auto folder, MakeScratchFolder(std::filesystem::temp_directory_path(), "muster-gpu-resume"));
    const auto group = MakeSingleGroup();
    const absl::Status status = CompareRuns(*group, session.device(), folder / "checkpoint", figures);
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
    return status;
  });
  session.Test("resume.two_ranks", [&](Figures& figures) -> absl::Status {
    ASSIGN_OR_RETURN(Ranks ranks, Ranks::Start(session, "resume", 2, absl::Seconds(25)));
    ASSIGN_OR_RETURN(const auto reports, ranks.Finish(absl::Seconds(35)));
    if (reports[0]["digest"] != reports[1]["digest"]) return absl::InternalError("ranks hold different weights");
    figures["digest"] = reports[0]["digest"];
    return absl::OkStatus();
  });
}

}  // namespace muster
