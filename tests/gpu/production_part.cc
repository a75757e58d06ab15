// The path that jobs take on a GPU by default: bfloat16 over float32 masters, variable-length flash attention (no
// dropout of attention probabilities), dropout elsewhere, several ranks, and a resumed run.
#include <ATen/ATen.h>

#include <cmath>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status.h"
#include "tests/gpu/models.h"
#include "tests/gpu/problem_step.h"
#include "tests/gpu/ranks.h"
#include "tests/gpu/runs.h"

namespace muster {
namespace {

TrainerOptions ProductionOptions() {
  TrainerOptions options = StepOptions(muster::v1::OBJECTIVE_LSEPAIR);
  options.attention_dropout = 0;
  return options;
}

RunKind Production(at::Device device) {
  return {.config = SmallEncoder(), .encoder = {at::kFloat, device, /*bfloat16=*/true}, .trainer = ProductionOptions()};
}

absl::StatusOr<StepGradients> GradientsOf(Group& group, const EncoderOptions& encoder_options) {
  ASSIGN_OR_RETURN(const auto encoder, WideEncoder(SmallEncoder(), encoder_options));
  Trainer trainer(*encoder, group, RealClock(), ProductionOptions());
  const Problem problem = StepProblem(muster::v1::OBJECTIVE_LSEPAIR);
  ASSIGN_OR_RETURN(const StepBatch batch, ProblemBatch(problem, group, encoder_options.device, SmallEncoder()));
  ASSIGN_OR_RETURN(const StepReport report, trainer.Differentiate(batch));
  StepGradients result{.loss = report.loss};
  for (const at::Tensor& gradient : trainer.gradients()) result.gradients.push_back(gradient.to(at::kCPU).clone());
  return result;
}

// Compares bfloat16 with float32 on the same device, over all gradients at once, and with itself bit by bit.
absl::Status CompareGradients(Group& group, at::Device device, Figures& figures) {
  ASSIGN_OR_RETURN(const StepGradients exact, GradientsOf(group, {at::kFloat, device}));
  ASSIGN_OR_RETURN(const StepGradients own, GradientsOf(group, {at::kFloat, device, /*bfloat16=*/true}));
  ASSIGN_OR_RETURN(const StepGradients again, GradientsOf(group, {at::kFloat, device, /*bfloat16=*/true}));
  double squares = 0, differences = 0;
  for (size_t i = 0; i < own.gradients.size(); ++i) {
    if (!own.gradients[i].equal(again.gradients[i])) {
      return absl::InternalError(absl::StrCat("gradient ", i, " differs between two runs of one step"));
    }
    const at::Tensor reference = exact.gradients[i].to(at::kDouble);
    squares += reference.square().sum().item<double>();
    differences += own.gradients[i].to(at::kDouble).sub(reference).square().sum().item<double>();
  }
  figures["difference_gradients"] = std::sqrt(differences / squares);
  figures["difference_loss"] = std::abs(own.loss - exact.loss) / std::abs(exact.loss);
  // The same bound as for encoder.bfloat16: roundings of 2^-9 on a path of 3 layers, passed twice.
  return AtMost("difference of the gradients", std::sqrt(differences / squares), 0.04);
}

absl::Status RunProduction(Group& group, at::Device device, const std::filesystem::path& folder, Figures& figures) {
  RETURN_IF_ERROR(CompareGradients(group, device, figures));
  return CompareResumedRuns(group, Production(device), folder, figures);
}

}  // namespace

absl::Status ProductionTask(const RankOrder& order, Group& group, at::Device device, Figures& report) {
  return RunProduction(group, device, order.folder / "checkpoint", report);
}

void RunProductionPart(Session& session) {
  session.Test("production.one_rank", [&](Figures& figures) -> absl::Status {
    ASSIGN_OR_RETURN(const auto folder, MakeScratchFolder(std::filesystem::temp_directory_path(), "muster-gpu-production"));
    const auto group = MakeSingleGroup();
    const absl::Status status = RunProduction(*group, session.device(), folder / "checkpoint", figures);
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
    return status;
  });
  // Ranks of a rehearsal share the cores of a CPU, on which products in bfloat16 are slow.
  const int64_t most = session.device().is_cpu() ? 2 : 4;
  for (int64_t world_size = 2; world_size <= most; world_size *= 2) {
    session.Test(absl::StrCat("production.", world_size, "_ranks"), [&](Figures& figures) -> absl::Status {
      ASSIGN_OR_RETURN(Ranks ranks, Ranks::Start(session, "production", world_size, absl::Seconds(25)));
      ASSIGN_OR_RETURN(const auto reports, ranks.Finish(absl::Seconds(35)));
      for (const Figures& report : reports) {
        if (report["digest"] != reports[0]["digest"]) return absl::InternalError("ranks hold different weights");
      }
      figures = reports[0];
      return absl::OkStatus();
    });
  }
}

}  // namespace muster
