#include "worker/rank/train/trainer.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "absl/strings/match.h"
#include "worker/rank/collective/in_process.h"
#include "worker/rank/train/problem.h"

namespace muster {
namespace {

using namespace muster::v1;  // NOLINT: the specification's messages and values
using testing::HasSubstr;

constexpr uint64_t kSeed = 11;
constexpr double kTemperature = 0.2;

// In-process ranks share the machine's cores: one thread each.
[[maybe_unused]] const bool kOneThread = [] {
  at::set_num_threads(1);
  return true;
}();

TrainerOptions Options(Objective objective, double dropout, uint64_t keep) {
  TrainerOptions options;
  options.loss.set_objective(objective);
  options.loss.set_temperature(kTemperature);
  options.optimizer.set_learning_rate(1e-2);
  options.optimizer.set_schedule(SCHEDULE_CONSTANT);
  options.optimizer.set_max_grad_norm(1);
  options.optimizer.set_beta1(0.9);
  options.optimizer.set_beta2(0.999);
  options.optimizer.set_epsilon(1e-8);
  options.keep_activations = keep;
  options.seed = 5;
  options.hidden_dropout = options.attention_dropout = dropout;
  options.total_steps = 10;
  options.tile_rows = 2;
  options.tile_columns = 5;
  return options;
}

// Mean loss of one query in the plainest way: dense scores of one row, and the formulas of arXiv 2602.12727.
at::Tensor DenseRow(Objective objective, const at::Tensor& scores, const Problem& problem, uint32_t query) {
  std::vector<at::Tensor> s, logs, negatives;
  std::vector<double> shares;
  double total = 0;
  const auto& positives = problem.positives[query];
  const auto& ignored = problem.ignored[query];
  const auto grade = [&](uint32_t p) { return problem.graded ? GradeOf(query, p) : 1.0; };
  for (const uint32_t p : positives) total += grade(p);
  for (const uint32_t p : positives) {
    s.push_back(scores[p]);
    shares.push_back(grade(p) / total);
    logs.push_back(at::full({}, std::log(shares.back() * positives.size()), at::kDouble));
  }
  for (uint32_t c = 0; c < problem.passages; ++c) {
    if (std::find(positives.begin(), positives.end(), c) == positives.end() &&
        std::find(ignored.begin(), ignored.end(), c) == ignored.end()) {
      negatives.push_back(scores[c]);
    }
  }
  const auto stack = [](const std::vector<at::Tensor>& list) {
    std::vector<at::Tensor> rows;
    for (const at::Tensor& one : list) rows.push_back(one.reshape({1}));
    return at::cat(rows);
  };
  const at::Tensor a = at::logsumexp(stack(negatives), 0);
  const at::Tensor z = at::logsumexp(at::cat({stack(s), stack(negatives)}), 0);
  at::Tensor mean = at::zeros({}, at::kDouble);
  for (size_t p = 0; p < s.size(); ++p) mean = mean + s[p] * shares[p];
  const double m = static_cast<double>(s.size());
  switch (objective) {
    case OBJECTIVE_JOINTLH:
      return z - mean;
    case OBJECTIVE_JOINTLH_SUM:
      return (z - mean) * m;
    case OBJECTIVE_SUMMARGLH:
      return at::softplus(a - at::logsumexp(stack(s) + stack(logs), 0), 1, 1e9);
    case OBJECTIVE_LSEPAIR:
      return at::softplus(a + at::logsumexp(stack(logs) - stack(s), 0), 1, 1e9);
    default:
      return at::softplus(a - s[0], 1, 1e9);
  }
}

struct Outcome {
  double loss = 0;
  std::vector<at::Tensor> gradients;
};

// One process, float64, one sequence at a time, the whole graph kept, autograd through the dense score matrix.
Outcome Reference(Objective objective, const Problem& problem, const TrainerOptions& options) {
  auto single = Encoder::Random(ProblemConfig(), kSeed);
  auto encoder = Encoder::Random(ProblemConfig(), kSeed, at::kDouble);
  for (size_t i = 0; i < (*single)->parameters().size(); ++i) {
    at::NoGradGuard no_gradient;
    (*encoder)->parameters()[i].value.copy_((*single)->parameters()[i].value);
  }
  const Dropout dropout{options.hidden_dropout, options.attention_dropout, options.seed, problem.step};
  std::vector<at::Tensor> rows;
  for (uint32_t slot = 0; slot < problem.tokens.size(); ++slot) {
    MicroBatch micro;
    micro.add_lengths(problem.tokens[slot].size());
    micro.add_slots(slot);
    micro.set_tokens(problem.tokens[slot].data(), 4 * problem.tokens[slot].size());
    const auto packed = PackedFromMicroBatch(micro, problem.tokens.size(), ProblemConfig(), at::kCPU);
    rows.push_back((*encoder)->Encode(*packed, dropout));
  }
  const at::Tensor all = at::cat(rows);
  const at::Tensor scores =
      at::matmul(all.narrow(0, 0, problem.queries), all.narrow(0, problem.queries, problem.passages).t()) /
      kTemperature;
  at::Tensor loss = at::zeros({}, at::kDouble);
  double total = 0;
  for (uint32_t q = 0; q < problem.queries; ++q) {
    if (problem.positives[q].empty()) continue;
    loss = loss + DenseRow(objective, scores[q], problem, q) * static_cast<double>(problem.weights[q]);
    total += problem.weights[q];
  }
  loss = loss / total;
  torch::autograd::backward({loss}, {});
  Outcome outcome{.loss = loss.item<double>()};
  for (const Parameter& parameter : (*encoder)->parameters()) outcome.gradients.push_back(parameter.value.grad());
  return outcome;
}

std::vector<Outcome> Train(const Problem& problem, int64_t world_size, const TrainerOptions& options,
                           size_t micro_tokens) {
  std::vector<Outcome> outcomes(world_size);
  const auto statuses = RunInProcessRanks(world_size, [&](Group& group) -> absl::Status {
    auto encoder = Encoder::Random(ProblemConfig(), kSeed);
    if (!encoder.ok()) return encoder.status();
    const auto share = ShareOf(problem, group.rank(), world_size, micro_tokens);
    EXPECT_GT(share.micro_batches_size(), 0) << "every rank must encode something";
    const auto batch = BatchFromShare(share, group.rank(), world_size, ProblemConfig(), at::kCPU);
    if (!batch.ok()) return batch.status();
    Trainer trainer(**encoder, group, RealClock(), options);
    const auto report = trainer.Differentiate(*batch);
    if (!report.ok()) return report.status();
    outcomes[group.rank()] = {report->loss, trainer.gradients()};
    return absl::OkStatus();
  });
  for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
  return outcomes;
}

// The largest difference of a tensor: norm of the difference over norm of the reference. Attention key biases have no
// gradient in theory: they are compared absolutely.
double Compare(const Outcome& own, const Outcome& reference) {
  const auto names = EncoderTensors(ProblemConfig());
  double largest = std::abs(own.loss - reference.loss) / std::abs(reference.loss);
  EXPECT_EQ(own.gradients.size(), reference.gradients.size());
  for (size_t i = 0; i < own.gradients.size(); ++i) {
    const double error = (own.gradients[i].to(at::kDouble) - reference.gradients[i]).norm().item<double>();
    if (absl::StrContains(names[i].name, "key.bias")) {
      EXPECT_LE(error, 1e-6) << names[i].name;
      continue;
    }
    largest = std::max(largest, error / reference.gradients[i].norm().item<double>());
    EXPECT_LE(error, 1e-5 * reference.gradients[i].norm().item<double>()) << names[i].name;
  }
  return largest;
}

TEST(Trainer, GradientsAreThoseOfOneProcessOnAnyNumberOfRanks) {
  for (const Objective objective : {OBJECTIVE_JOINTLH, OBJECTIVE_JOINTLH_SUM, OBJECTIVE_RAND1LH, OBJECTIVE_SUMMARGLH,
                                    OBJECTIVE_LSEPAIR}) {
    Problem problem = MakeProblem(1, objective == OBJECTIVE_RAND1LH);
    problem.graded = objective != OBJECTIVE_RAND1LH;
    for (const double dropout : {0.0, 0.1}) {
      const TrainerOptions options = Options(objective, dropout, 60000);
      const Outcome reference = Reference(objective, problem, options);
      for (const int64_t world_size : {1, 2, 3}) {
        const auto outcomes = Train(problem, world_size, options, 40);
        const double difference = Compare(outcomes[0], reference);
        std::printf("%-24s dropout %.1f, %ld ranks: largest difference %.1e\n", Objective_Name(objective).c_str(),
                    dropout, world_size, difference);
        for (const Outcome& other : outcomes) {
          EXPECT_EQ(other.loss, outcomes[0].loss);
          for (size_t i = 0; i < other.gradients.size(); ++i) {
            EXPECT_TRUE(at::equal(other.gradients[i], outcomes[0].gradients[i])) << "ranks differ in tensor " << i;
          }
        }
      }
    }
  }
}

TEST(Trainer, KeptAndReplayedGraphsGiveEqualBits) {
  const Problem problem = MakeProblem(2, false);
  const auto kept = Train(problem, 2, Options(OBJECTIVE_LSEPAIR, 0.1, uint64_t{1} << 40), 40);
  for (const uint64_t keep : {0, 60000}) {
    const auto other = Train(problem, 2, Options(OBJECTIVE_LSEPAIR, 0.1, keep), 40);
    for (size_t i = 0; i < kept[0].gradients.size(); ++i) {
      EXPECT_TRUE(at::equal(kept[0].gradients[i], other[0].gradients[i])) << "tensor " << i;
    }
  }
}

TEST(Trainer, TheCutIntoMicroBatchesDoesNotMatter) {
  const Problem problem = MakeProblem(3, false);
  const TrainerOptions options = Options(OBJECTIVE_JOINTLH, 0.1, 60000);
  const Outcome reference = Reference(OBJECTIVE_JOINTLH, problem, options);
  for (const size_t micro_tokens : {1, 25, 1000}) {
    std::printf("micro-batches of %zu tokens: largest difference %.1e\n", micro_tokens,
                Compare(Train(problem, 2, options, micro_tokens)[1], reference));
  }
}

TEST(Trainer, ABatchWithoutAValidRowMovesNothingButTheMoments) {
  Problem problem = MakeProblem(4, false);
  for (auto& positives : problem.positives) positives.clear();
  for (const Outcome& outcome : Train(problem, 2, Options(OBJECTIVE_LSEPAIR, 0, 0), 40)) {
    EXPECT_EQ(outcome.loss, 0);
    for (const at::Tensor& gradient : outcome.gradients) EXPECT_EQ(gradient.abs().max().item<float>(), 0);
  }
}

TEST(Trainer, StepsLowerTheLossAndLeaveEqualWeightsOnAllRanks) {
  const Problem problem = MakeProblem(5, false);
  std::vector<std::vector<at::Tensor>> weights(3);
  const auto statuses = RunInProcessRanks(3, [&](Group& group) -> absl::Status {
    auto encoder = Encoder::Random(ProblemConfig(), kSeed);
    Trainer trainer(**encoder, group, RealClock(), Options(OBJECTIVE_JOINTLH, 0, 60000));
    const auto batch = BatchFromShare(ShareOf(problem, group.rank(), 3, 40), group.rank(), 3, ProblemConfig(), at::kCPU);
    double first = 0, last = 0;
    for (int step = 0; step < 8; ++step) {
      const auto report = trainer.Step(*batch, /*stop_requested=*/step == 7 && group.rank() == 1);
      if (!report.ok()) return report.status();
      if (step == 0) first = report->loss;
      last = report->loss;
      EXPECT_EQ(report->stop, step == 7) << "one rank's wish to stop is every rank's";
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
    auto encoder = Encoder::Random(ProblemConfig(), kSeed);
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
    auto encoder = Encoder::Random(ProblemConfig(), kSeed);
    Trainer trainer(**encoder, group, RealClock(), Options(OBJECTIVE_JOINTLH, 0, 0));
    auto share = ShareOf(problem, group.rank(), 2, 40);
    share.set_plan_digest(group.rank());
    return trainer.Step(*BatchFromShare(share, group.rank(), 2, ProblemConfig(), at::kCPU)).status();
  });
  for (const absl::Status& status : statuses) EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
}

}  // namespace
}  // namespace muster
