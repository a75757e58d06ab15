#include "worker/rank/train/gradient_reduction.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <string>

#include "common/model/families/family.h"
#include "worker/rank/collective/testing/starting_group.h"
#include "worker/rank/model/testing/family_configs.h"
#include "worker/rank/train/batch.h"
#include "worker/rank/train/testing/problem.h"

namespace muster {
namespace {

struct SmallModel {
  std::vector<Parameter> parameters;
  SmallModel() {
    for (const char* name : {"first", "second", "third"}) {
      parameters.push_back({name, at::ones({16}, at::kFloat).set_requires_grad(true)});
    }
  }
};

TEST(GradientReduction, StartsABucketInTheLastBackwardFromTheLastToTheFirst) {
  SmallModel model;
  FlatGradients gradients(model.parameters, /*bucket_bytes=*/64);
  const FlatGradients::Collecting collecting(gradients, model.parameters);
  StartingGroup group;
  GradientReduction reduction(gradients, model.parameters, group);
  const auto backward = [&](const at::Tensor& loss) { torch::autograd::backward({loss}, {}); };
  backward((model.parameters[0].value + model.parameters[1].value + model.parameters[2].value).sum());
  EXPECT_TRUE(group.reduced.empty()) << "this backward is not the last";
  reduction.ExpectLast();
  backward((model.parameters[0].value * 2 + model.parameters[2].value * 3).sum());  // the second parameter gets no gradient
  ASSERT_EQ(group.reduced.size(), 1u) << "the first is ready, and waits for the second";
  EXPECT_EQ(group.reduced[0].const_data_ptr(), gradients.views()[2].const_data_ptr());
  ASSERT_TRUE(reduction.Finish().ok());
  ASSERT_EQ(group.reduced.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(group.reduced[i].const_data_ptr(), gradients.views()[2 - i].const_data_ptr());
  }
  EXPECT_EQ(gradients.views()[0][0].item<float>(), 3);
}

TEST(GradientReduction, RefusesAContributionAfterTheLastOne) {
  SmallModel model;
  FlatGradients gradients(model.parameters);
  const FlatGradients::Collecting collecting(gradients, model.parameters);
  StartingGroup group;
  GradientReduction reduction(gradients, model.parameters, group);
  reduction.ExpectLast();
  const auto backward = [&] { torch::autograd::backward({model.parameters[0].value.sum()}, {}); };
  backward();
  EXPECT_THROW(backward(), c10::Error);
}

class GradientReductionOfFamilies : public testing::TestWithParam<std::string> {};

// Buckets as small as they can be. A hand-written backward adds to gradients without autograd, and the reduction must notice.
void ExpectFinalGradients(const EncoderConfig& config, const EncoderOptions& options, const std::string& what) {
  auto encoder = Encoder::Random(config, 11, options).value();
  FlatGradients gradients(encoder->parameters(), /*bucket_bytes=*/64);
  const FlatGradients::Collecting collecting(gradients, encoder->parameters());
  StartingGroup group;
  const auto batch = BatchFromShare(ShareOf(MakeProblem(5, false), 0, 1, 90), config, at::kCPU).value();
  ASSERT_GE(batch.micro_batches.size(), 2u);
  GradientReduction reduction(gradients, encoder->parameters(), group);
  for (size_t i = 0; i < batch.micro_batches.size(); ++i) {
    const at::AutoGradMode with_graph(true);
    const at::Tensor embeddings = encoder->Encode(batch.micro_batches[i], {.hidden = 0.1, .attention = 0.1});
    if (i + 1 == batch.micro_batches.size()) reduction.ExpectLast();
    EXPECT_TRUE(group.reduced.empty()) << what << ": before the last backward";
    torch::autograd::backward({embeddings}, {at::sin(at::arange(embeddings.numel(), at::kFloat)).view_as(embeddings)});
  }
  EXPECT_EQ(group.reduced.size(), gradients.buckets().size()) << what << ": a bucket waits for the end of the last backward";
  ASSERT_TRUE(reduction.Finish().ok());
  ASSERT_EQ(group.reduced.size(), gradients.buckets().size());
  for (size_t i = 0; i < group.reduced.size(); ++i) {
    EXPECT_TRUE(at::equal(group.at_start[i], group.reduced[i])) << what << ": bucket " << i << " began before it was full";
  }
}

TEST_P(GradientReductionOfFamilies, EveryBucketStartsDuringTheLastBackwardWhenItsGradientsAreFinal) {
  EncoderConfig config = WithFamily(ProblemConfig(), GetParam());
  config.dense = {{.folder = "2_Dense", .in = config.hidden_size, .out = 12}};
  ExpectFinalGradients(config, {}, "float32");
  ExpectFinalGradients(config, {at::kFloat, at::kCPU, /*in_bfloat16=*/true}, "bfloat16");
  config.lora = {.rank = 4, .alpha = 8, .seed = 3};
  ExpectFinalGradients(config, {}, "adapters");
}

INSTANTIATE_TEST_SUITE_P(Families, GradientReductionOfFamilies, testing::ValuesIn(FamilyNames()), [](const auto& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace muster
