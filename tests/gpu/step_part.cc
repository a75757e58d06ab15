// The training step: loss and gradients of the global batch against one process in float64, with dropout.
#include <ATen/ATen.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/digest.h"
#include "common/status.h"
#include "tests/gpu/problem_step.h"
#include "tests/gpu/ranks.h"

namespace muster {
namespace {

using namespace muster::v1;  // NOLINT: the specification's values

constexpr Objective kObjectives[] = {OBJECTIVE_JOINTLH, OBJECTIVE_JOINTLH_SUM, OBJECTIVE_RAND1LH,
                                     OBJECTIVE_SUMMARGLH, OBJECTIVE_LSEPAIR, OBJECTIVE_MEAN1LH};

// Compares this rank's gradients with the reference; both cover the global batch.
absl::Status CompareStep(Objective objective, Group& group, at::Device device, Figures& figures) {
  const Problem problem = StepProblem(objective);
  const TrainerOptions options = StepOptions(objective);
  ASSIGN_OR_RETURN(const auto encoder, Encoder::Random(ProblemConfig(), 11, {at::kFloat, device}));
  ASSIGN_OR_RETURN(const auto wide, DoubleEncoder(*encoder));
  ASSIGN_OR_RETURN(const StepGradients reference,
                   ReferenceStep(*wide, problem, options.loss,
                                 {options.hidden_dropout, options.attention_dropout, options.seed, problem.step}));
  Trainer trainer(*encoder, group, RealClock(), options);
  ASSIGN_OR_RETURN(const StepBatch batch, ProblemBatch(problem, group, device));
  ASSIGN_OR_RETURN(const StepReport report, trainer.Differentiate(batch));
  StepGradients own{.loss = report.loss};
  Sha256 digest;
  for (const at::Tensor& gradient : trainer.gradients()) {
    own.gradients.push_back(gradient.to(at::kCPU).contiguous());
    digest.Update({static_cast<const char*>(own.gradients.back().const_data_ptr()), own.gradients.back().nbytes()});
  }
  const StepDifference difference = DifferenceOf(wide->parameters(), own, reference);
  figures["difference"] = difference.relative;
  figures["worst"] = difference.worst;
  figures["key_bias"] = difference.absolute;
  figures["digest"] = digest.FinishHex();
  return Both(AtMost(absl::StrCat("difference of ", difference.worst).c_str(), difference.relative, 1e-5),
              AtMost("gradient of a key bias", difference.absolute, 1e-6));
}

std::string WordOf(Objective objective) {
  return absl::AsciiStrToLower(absl::StripPrefix(Objective_Name(objective), "OBJECTIVE_"));
}

}  // namespace

absl::Status StepTask(const RankOrder&, Group& group, at::Device device, Figures& report) {
  for (const Objective objective : kObjectives) {
    const std::string word = WordOf(objective);
    RETURN_IF_ERROR(WithContext(CompareStep(objective, group, device, report["objectives"][word]), word));
  }
  return absl::OkStatus();
}

void RunStepPart(Session& session) {
  for (const Objective objective : kObjectives) {
    session.Test(absl::StrCat("step.one_rank.", WordOf(objective)), [&](Figures& figures) {
      const auto group = MakeSingleGroup();
      return CompareStep(objective, *group, session.device(), figures);
    });
  }
  for (const int64_t world_size : {2, 4}) {
    session.Test(absl::StrCat("step.", world_size, "_ranks"), [&](Figures& figures) -> absl::Status {
      ASSIGN_OR_RETURN(Ranks ranks, Ranks::Start(session, "step", world_size, absl::Seconds(25)));
      ASSIGN_OR_RETURN(const auto reports, ranks.Finish(absl::Seconds(35)));
      for (const Figures& report : reports) {
        if (report["objectives"] != reports[0]["objectives"]) {
          return absl::InternalError("ranks hold different bits of a gradient");
        }
      }
      figures = reports[0]["objectives"];
      return absl::OkStatus();
    });
  }
}

}  // namespace muster
