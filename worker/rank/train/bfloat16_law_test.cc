// The step in bfloat16 on the CPU: near float32's, and the same on any number of ranks, up to bfloat16's rounding.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <iostream>

#include "worker/rank/train/testing/trained_step.h"

namespace muster {
namespace {

double LargestRelativeDistance(const std::vector<at::Tensor>& own, const std::vector<at::Tensor>& reference) {
  const auto encoder = Encoder::Random(ProblemConfig(), kWeightSeed).value();
  double largest = 0;
  for (size_t i = 0; i < own.size(); ++i) {
    if (encoder->parameters()[i].name.ends_with("key.bias")) continue;  // exactly 0 in theory
    const double norm = reference[i].norm().item<double>();
    largest = std::max(largest, (own[i] - reference[i]).norm().item<double>() / norm);
  }
  return largest;
}

TEST(StepInBfloat16, IsNearFloat32OnAnyNumberOfRanksKeptOrReplayed) {
  const Problem problem = MakeProblem(3, /*one_positive=*/false);
  for (const auto& [dropout, matryoshka] : {std::pair(0.0, false), {0.1, false}, {0.1, true}}) {
    TrainerOptions options = ProblemOptions(muster::v1::OBJECTIVE_JOINTLH, dropout);
    for (const uint32_t size : {8u, 32u}) {
      if (matryoshka) options.loss.add_matryoshka_dimensions(size);
    }
    const StepGradients single = TrainedStep(problem, {.keep = Keep::kAll}, options)[0];
    for (const int64_t world_size : {1, 2, 3}) {
      for (const Keep keep : {Keep::kNone, Keep::kAll}) {
        const auto outcomes = TrainedStep(problem, {.world_size = world_size, .keep = keep}, options,
                                          {at::kFloat, at::kCPU, /*in_bfloat16=*/true});
        const double distance = LargestRelativeDistance(outcomes[0].gradients, single.gradients);
        std::cout << "dropout " << dropout << (matryoshka ? ", matryoshka" : "") << ", " << world_size << " ranks, " << KeepName(keep) << ": loss "
                  << outcomes[0].loss << ", one rank: " << single.loss << ", gradients " << distance << "\n";
        EXPECT_NEAR(outcomes[0].loss, single.loss, 1e-2 * single.loss);
        EXPECT_LT(distance, 0.05);
        for (const StepGradients& other : outcomes) {
          for (size_t i = 0; i < other.gradients.size(); ++i) {
            EXPECT_EQ(other.gradients[i].scalar_type(), at::kFloat);
            EXPECT_TRUE(at::equal(other.gradients[i], outcomes[0].gradients[i])) << "ranks hold equal bits";
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace muster
