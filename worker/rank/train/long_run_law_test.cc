// The law over many steps: in float64, where rounding cannot hide a difference, training ends with the same weights on
// any number of ranks, dropout and clipping included.
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <cstdio>

#include "worker/rank/train/checkpoint.h"
#include "worker/rank/train/testing/trained_step.h"

namespace muster {
namespace {

using namespace muster::v1;  // NOLINT: the objectives

constexpr uint64_t kSteps = 60, kStepsPerEpoch = 6;

// In-process ranks share the machine's cores: one thread each.
[[maybe_unused]] const bool kOneThread = [] {
  at::set_num_threads(1);
  return true;
}();

// Epochs of six batches, the last of them smaller.
Problem ProblemOfStep(uint64_t step) {
  const uint64_t place = step % kStepsPerEpoch;
  Problem problem = place + 1 == kStepsPerEpoch ? MakeProblem(100 + place, false, /*queries=*/3, /*passages=*/6)
                                                : MakeProblem(100 + place, false);
  problem.graded = true;
  problem.step = step;
  return problem;
}

// Rank 0's weights after all steps; `type` throughout.
std::vector<Parameter> Train(int64_t world_size, at::ScalarType type, Keep keep) {
  std::vector<std::vector<Parameter>> weights(world_size);
  const auto statuses = RunInProcessRanks(world_size, [&](Group& group) -> absl::Status {
    const auto encoder = Encoder::Random(ProblemConfig(), kWeightSeed, type).value();
    TrainerOptions options = ProblemOptions(OBJECTIVE_LSEPAIR, 0.1);
    options.keep_activations = keep == Keep::kNone ? 0 : keep == Keep::kHalf ? 120000 : uint64_t{1} << 40;
    options.optimizer.set_learning_rate(1e-3);
    options.total_steps = kSteps;
    Trainer trainer(*encoder, group, RealClock(), options);
    for (uint64_t step = 0; step < kSteps; ++step) {
      const auto batch =
          BatchFromShare(ShareOf(ProblemOfStep(step), group.rank(), world_size, 40), ProblemConfig(), at::kCPU);
      if (!batch.ok()) return batch.status();
      EXPECT_GT(batch->tokens, 0) << "every rank must encode something";
      const auto report = trainer.Step(*batch);
      if (!report.ok()) return report.status();
    }
    for (const at::Tensor& gradient : trainer.gradients()) EXPECT_EQ(gradient.scalar_type(), type);
    for (const Parameter& moment : trainer.optimizer().State()) {
      EXPECT_TRUE(moment.name == "step" || moment.value.scalar_type() == type) << moment.name;
    }
    weights[group.rank()] = CopyParameters(encoder->parameters());
    return absl::OkStatus();
  });
  for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
  for (const auto& other : weights) EXPECT_EQ(ParameterDigest(other), ParameterDigest(weights[0])) << "ranks differ";
  return weights[0];
}

struct Difference {
  double relative = 0, key_bias = 0;
  std::string worst;
};
Difference Compare(const std::vector<Parameter>& own, const std::vector<Parameter>& reference) {
  Difference difference;
  EXPECT_EQ(own.size(), reference.size());
  for (size_t i = 0; i < own.size(); ++i) {
    const at::Tensor other = reference[i].value.to(at::kDouble);
    const double error = (own[i].value.to(at::kDouble) - other).norm().item<double>();
    if (HasZeroGradient(own[i].name)) {
      difference.key_bias = std::max(difference.key_bias, error);
    } else if (const double relative = error / other.norm().item<double>(); !(relative <= difference.relative)) {
      difference.relative = relative;
      difference.worst = own[i].name;
    }
  }
  return difference;
}

TEST(LongRunLaw, SixtyStepsInFloat64AgreeOnAnyNumberOfRanks) {
  const std::vector<Parameter> one = Train(1, at::kDouble, Keep::kAll);
  for (const int64_t world_size : {2, 3, 4, 8}) {
    for (const Keep keep : {Keep::kNone, Keep::kHalf}) {
      if (keep == Keep::kNone && world_size != 2) continue;
      const Difference difference = Compare(Train(world_size, at::kDouble, keep), one);
      std::printf("float64, 60 steps, dropout 0.1, %ld ranks, %s: largest difference %.1e (%s); key biases %.1e absolute\n",
                  static_cast<long>(world_size), KeepName(keep), difference.relative, difference.worst.c_str(),
                  difference.key_bias);
      EXPECT_LE(difference.relative, 1e-9) << difference.worst;
    }
  }
  // The weights have changed, so the ranks do not agree just because nothing was trained.
  EXPECT_GT(Compare(one, Encoder::Random(ProblemConfig(), kWeightSeed, at::kDouble).value()->parameters()).relative, 0.01);
}

TEST(LongRunLaw, SixtyStepsInFloat32AgreeToTheirRounding) {
  const std::vector<Parameter> one = Train(1, at::kFloat, Keep::kHalf);
  for (const int64_t world_size : {2, 4, 8}) {
    const Difference difference = Compare(Train(world_size, at::kFloat, Keep::kHalf), one);
    std::printf("float32, 60 steps, dropout 0.1, %ld ranks: largest difference %.1e (%s)\n",
                static_cast<long>(world_size), difference.relative, difference.worst.c_str());
    EXPECT_LE(difference.relative, 1e-4) << difference.worst;
  }
}

}  // namespace
}  // namespace muster
