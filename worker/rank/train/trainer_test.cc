#include "worker/rank/train/trainer.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "common/sample_ledger.h"
#include "common/status.h"
#include "worker/rank/train/trained_step.h"

namespace muster {
namespace {

using namespace muster::v1;  // NOLINT: the specification's messages and values
using testing::HasSubstr;

// In-process ranks share the machine's cores: one thread each.
[[maybe_unused]] const bool kOneThread = [] {
  at::set_num_threads(1);
  return true;
}();

TrainerOptions Options(Objective objective, double dropout, uint64_t keep) {
  TrainerOptions options = ProblemOptions(objective, dropout);
  options.keep_activations = keep;
  return options;
}

TEST(Trainer, ABatchWithoutAValidRowMovesNothingButTheMoments) {
  Problem problem = MakeProblem(4, false);
  for (auto& positives : problem.positives) positives.clear();
  for (const StepGradients& outcome : TrainedStep(problem, {.world_size = 2}, Options(OBJECTIVE_LSEPAIR, 0, 0))) {
    EXPECT_EQ(outcome.loss, 0);
    for (const at::Tensor& gradient : outcome.gradients) EXPECT_EQ(gradient.abs().max().item<float>(), 0);
  }
}

TEST(Trainer, StepsLowerTheLossAndLeaveEqualWeightsOnAllRanks) {
  const Problem problem = MakeProblem(5, false);
  std::vector<std::vector<at::Tensor>> weights(3);
  const auto statuses = RunInProcessRanks(3, [&](Group& group) -> absl::Status {
    auto encoder = Encoder::Random(ProblemConfig(), kWeightSeed);
    Trainer trainer(**encoder, group, RealClock(), Options(OBJECTIVE_JOINTLH, 0, 60000));
    const auto batch = BatchFromShare(ShareOf(problem, group.rank(), 3, 40), group.rank(), 3, ProblemConfig(), at::kCPU);
    double first = 0, last = 0;
    for (int step = 0; step < 8; ++step) {
      const auto report = trainer.Step(*batch, step == 7 && group.rank() == 1 ? StopRequest::kSave : StopRequest::kNone);
      if (!report.ok()) return report.status();
      if (step == 0) first = report->loss;
      last = report->loss;
      EXPECT_EQ(report->stop == StopRequest::kSave, step == 7) << "one rank's wish to stop is every rank's";
      EXPECT_EQ(report->valid_rows, 6);
      EXPECT_GT(report->gradient_norm, 0);
    }
    EXPECT_LT(last, 0.9 * first);
    for (const Parameter& parameter : (*encoder)->parameters()) {
      weights[group.rank()].push_back(parameter.value.detach());
    }
    return absl::OkStatus();
  });
  for (const absl::Status& status : statuses) ASSERT_TRUE(status.ok()) << status;
  for (size_t i = 0; i < weights[0].size(); ++i) {
    EXPECT_TRUE(at::equal(weights[0][i], weights[1][i]) && at::equal(weights[0][i], weights[2][i]));
  }
}

TEST(Trainer, ANonFiniteScoreIsRefusedOnAllRanksAlikeWithTheQueryNamed) {
  const Problem problem = MakeProblem(6, false);
  const auto statuses = RunInProcessRanks(2, [&](Group& group) -> absl::Status {
    auto encoder = Encoder::Random(ProblemConfig(), kWeightSeed);
    at::NoGradGuard no_gradient;
    (*encoder)->parameters()[0].value.fill_(std::numeric_limits<float>::quiet_NaN());
    Trainer trainer(**encoder, group, RealClock(), Options(OBJECTIVE_JOINTLH, 0, 0));
    const auto batch = BatchFromShare(ShareOf(problem, group.rank(), 2, 40), group.rank(), 2, ProblemConfig(), at::kCPU);
    return trainer.Step(*batch).status();
  });
  for (const absl::Status& status : statuses) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("step 3: a score of query 0 of the batch (query digest"));
  }
}

TEST(Trainer, RefusesRanksWithDifferentPlans) {
  const Problem problem = MakeProblem(7, false);
  const auto statuses = RunInProcessRanks(2, [&](Group& group) -> absl::Status {
    auto encoder = Encoder::Random(ProblemConfig(), kWeightSeed);
    Trainer trainer(**encoder, group, RealClock(), Options(OBJECTIVE_JOINTLH, 0, 0));
    auto share = ShareOf(problem, group.rank(), 2, 40);
    share.set_plan_digest(group.rank());
    return trainer.Step(*BatchFromShare(share, group.rank(), 2, ProblemConfig(), at::kCPU)).status();
  });
  for (const absl::Status& status : statuses) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_EQ(ReasonOf(status), kRanksDisagree);
  }
}

TEST(Trainer, TellsWhoseRowsWereAppliedHowMuchWasGatheredAndTheSkewOfTheStepBefore) {
  const Problem problem = MakeProblem(8, false);
  QuerySum expected;
  for (int64_t q = 0; q < problem.queries; ++q) expected.Add(1000 + static_cast<uint64_t>(q));
  for (const int64_t world_size : {1, 3}) {
    const auto statuses = RunInProcessRanks(world_size, [&](Group& group) -> absl::Status {
      auto encoder = Encoder::Random(ProblemConfig(), kWeightSeed);
      Trainer trainer(**encoder, group, RealClock(), Options(OBJECTIVE_JOINTLH, 0, 0));
      const auto batch = BatchFromShare(ShareOf(problem, group.rank(), world_size, 40), group.rank(), world_size,
                                        ProblemConfig(), at::kCPU);
      for (int step = 0; step < 2; ++step) {
        const auto report = trainer.Step(*batch);
        if (!report.ok()) return report.status();
        EXPECT_EQ(report->applied, expected);
        EXPECT_EQ(report->gathered_bytes, (problem.queries + problem.passages) * ProblemConfig().hidden_size * 4);
        EXPECT_EQ(report->rank_skew_seconds > 0, step == 1 && world_size > 1);
      }
      return absl::OkStatus();
    });
    for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
  }
}

}  // namespace
}  // namespace muster
