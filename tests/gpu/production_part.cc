// The path that jobs take on a GPU by default: bfloat16 over float32 masters, dropout, several ranks, and a resumed run. With
// and without dropout of attention probabilities, whose masks are keyed by sequence (a kernel of ours) or by launch (torch's
// flash attention).
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

struct Variant {
  const char* name;
  double attention_dropout;
  AttentionKeys keys;
};
constexpr Variant kVariants[] = {{"plain_attention", 0, AttentionKeys::kSequence},
                                 {"sequence", 0.1, AttentionKeys::kSequence},
                                 {"launch", 0.1, AttentionKeys::kLaunch}};

TrainerOptions ProductionOptions(const Variant& variant) {
  TrainerOptions options = StepOptions(muster::v1::OBJECTIVE_LSEPAIR);
  options.attention_dropout = variant.attention_dropout;
  options.attention_keys = variant.keys;
  return options;
}

// `keep`: bytes of graphs that are kept; others are replayed.
absl::StatusOr<StepGradients> GradientsOf(Group& group, const EncoderOptions& encoder_options, const Variant& variant,
                                          uint64_t keep) {
  ASSIGN_OR_RETURN(const auto encoder, WideEncoder(SmallEncoder(), encoder_options));
  TrainerOptions options = ProductionOptions(variant);
  options.keep_activations = keep;
  Trainer trainer(*encoder, group, RealClock(), options);
  const Problem problem = StepProblem(muster::v1::OBJECTIVE_LSEPAIR);
  ASSIGN_OR_RETURN(const StepBatch batch, ProblemBatch(problem, group, encoder_options.device, SmallEncoder()));
  ASSIGN_OR_RETURN(const StepReport report, trainer.Differentiate(batch));
  StepGradients result{.loss = report.loss};
  for (const at::Tensor& gradient : trainer.gradients()) result.gradients.push_back(gradient.to(at::kCPU).clone());
  return result;
}

// Compares bfloat16 with float32 on the same device, over all gradients at once; and, bit by bit, a step that keeps its graphs
// with one that replays them.
absl::Status CompareGradients(Group& group, at::Device device, const Variant& variant, Figures& figures) {
  constexpr uint64_t kAll = uint64_t{1} << 30;
  const EncoderOptions bfloat16{at::kFloat, device, /*bfloat16=*/true};
  ASSIGN_OR_RETURN(const StepGradients exact, GradientsOf(group, {at::kFloat, device}, variant, kAll));
  ASSIGN_OR_RETURN(const StepGradients own, GradientsOf(group, bfloat16, variant, kAll));
  ASSIGN_OR_RETURN(const StepGradients again, GradientsOf(group, bfloat16, variant, /*keep=*/0));
  double squares = 0, differences = 0;
  for (size_t i = 0; i < own.gradients.size(); ++i) {
    if (!own.gradients[i].equal(again.gradients[i])) {
      return absl::InternalError(absl::StrCat("gradient ", i, " differs between a step that keeps its graphs and one that "
                                                              "replays them"));
    }
    const at::Tensor reference = exact.gradients[i].to(at::kDouble);
    squares += reference.square().sum().item<double>();
    differences += own.gradients[i].to(at::kDouble).sub(reference).square().sum().item<double>();
  }
  const double difference = std::sqrt(differences / squares);
  figures["difference_gradients"] = difference;
  figures["difference_loss"] = std::abs(own.loss - exact.loss) / std::abs(exact.loss);
  // Flash attention exists in bfloat16 only, and draws masks by launch. float32 draws them by sequence: the gradients are
  // those of different masks, and equal in expectation. They must only be closer than a gradient of zero would be.
  if (variant.keys == AttentionKeys::kLaunch && !device.is_cpu()) {
    return AtMost("difference of the gradients with other masks", difference, 1);
  }
  // The same bound as for encoder.bfloat16: roundings of 2^-9 on a path of 3 layers, passed twice.
  return AtMost("difference of the gradients", difference, 0.04);
}

absl::Status RunProduction(Group& group, at::Device device, const Variant& variant, const std::filesystem::path& folder,
                           Figures& figures) {
  RETURN_IF_ERROR(CompareGradients(group, device, variant, figures));
  const RunKind kind{.config = SmallEncoder(),
                     .encoder = {at::kFloat, device, /*bfloat16=*/true},
                     .trainer = ProductionOptions(variant)};
  return CompareResumedRuns(group, kind, folder, figures);
}

}  // namespace

absl::Status ProductionTask(const RankOrder& order, Group& group, at::Device device, Figures& report) {
  for (const Variant& variant : kVariants) {
    RETURN_IF_ERROR(WithContext(RunProduction(group, device, variant, order.folder / absl::StrCat("checkpoint-", variant.name),
                                              report["variants"][variant.name]),
                                variant.name));
  }
  return absl::OkStatus();
}

void RunProductionPart(Session& session) {
  for (const Variant& variant : kVariants) {
    session.Test(absl::StrCat("production.one_rank.", variant.name), [&](Figures& figures) -> absl::Status {
      ASSIGN_OR_RETURN(const auto folder,
                       MakeScratchFolder(std::filesystem::temp_directory_path(), "muster-gpu-production"));
      const auto group = MakeSingleGroup();
      const absl::Status status = RunProduction(*group, session.device(), variant, folder / "checkpoint", figures);
      std::error_code ignored;
      std::filesystem::remove_all(folder, ignored);
      return status;
    });
  }
  // Ranks of a rehearsal share the cores of a CPU, on which products in bfloat16 are slow.
  const int64_t most = session.device().is_cpu() ? 2 : 4;
  for (int64_t world_size = 2; world_size <= most; world_size *= 2) {
    session.Test(absl::StrCat("production.", world_size, "_ranks"), [&](Figures& figures) -> absl::Status {
      ASSIGN_OR_RETURN(Ranks ranks, Ranks::Start(session, "production", world_size, absl::Seconds(25)));
      ASSIGN_OR_RETURN(const auto reports, ranks.Finish(absl::Seconds(35)));
      for (const Variant& variant : kVariants) {
        for (const Figures& report : reports) {
          if (report["variants"][variant.name]["digest"] != reports[0]["variants"][variant.name]["digest"]) {
            return absl::InternalError(absl::StrCat(variant.name, ": ranks hold different weights"));
          }
        }
      }
      figures = reports[0]["variants"];
      return absl::OkStatus();
    });
  }
}

}  // namespace muster
