// Resuming: a run that stops at a checkpoint and continues in fresh objects ends with the same bytes as the undisturbed run.
#include <filesystem>

#include "common/files.h"
#include "common/status.h"
#include "tests/gpu/problem_step.h"
#include "tests/gpu/ranks.h"
#include "tests/gpu/runs.h"

namespace muster {
namespace {

RunKind Float32(at::Device device) {
  return {.config = ProblemConfig(), .encoder = {at::kFloat, device}, .trainer = StepOptions(muster::v1::OBJECTIVE_LSEPAIR)};
}

}  // namespace

absl::Status ResumeTask(const RankOrder& order, Group& group, at::Device device, Figures& report) {
  return CompareResumedRuns(group, Float32(device), order.folder / "checkpoint", report);
}

void RunResumePart(Session& session) {
  session.Test("resume.one_rank", [&](Figures& figures) -> absl::Status {
    ASSIGN_OR_RETURN(const auto folder, MakeScratchFolder(std::filesystem::temp_directory_path(), "muster-gpu-resume"));
    const auto group = MakeSingleGroup();
    const absl::Status status = CompareResumedRuns(*group, Float32(session.device()), folder / "checkpoint", figures);
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
