#include "worker/rank/train/part_rates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster {
namespace {

using muster::v1::OptimizerSpec;
using testing::DoubleEq;
using testing::ElementsAre;

std::vector<Parameter> OneOfEachDepth() {
  std::vector<Parameter> parameters;
  for (const char* name :
       {"embeddings.LayerNorm.bias", "encoder.layer.0.output.dense.weight", "encoder.layer.1.output.dense.bias",
        "encoder.layer.2.output.dense.weight", "2_Dense.linear.weight"}) {
    parameters.push_back({name, at::Tensor()});
  }
  return parameters;
}

TEST(PartRates, ByDefaultAllPartsHaveTheSameRate) {
  OptimizerSpec spec;
  spec.set_learning_rate(1e-3);
  EXPECT_THAT(MaximaOf(spec, 3), ElementsAre(1e-3));
  EXPECT_THAT(RateGroupsOf(spec, OneOfEachDepth(), 3), ElementsAre(0, 0, 0, 0, 0));
}

TEST(PartRates, ANamedPartHasItsRateAndTheOthersHaveLearningRate) {
  OptimizerSpec spec;
  spec.set_learning_rate(1e-3);
  spec.mutable_learning_rates()->set_embeddings(0);
  EXPECT_THAT(RateGroupsOf(spec, OneOfEachDepth(), 3), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(MaximaOf(spec, 3), ElementsAre(0, 1e-3, 1e-3, 1e-3, 1e-3));
  spec.mutable_learning_rates()->set_layers(2e-4);
  spec.mutable_learning_rates()->set_head(1e-2);
  EXPECT_THAT(MaximaOf(spec, 3), ElementsAre(0, 2e-4, 2e-4, 2e-4, 1e-2));
}

TEST(PartRates, EachLayerHasTheRateOfTheNextLayerTimesTheDecay) {
  OptimizerSpec spec;
  spec.set_learning_rate(0.8);
  spec.set_layer_decay(0.5);
  EXPECT_THAT(MaximaOf(spec, 3), ElementsAre(DoubleEq(0.1), DoubleEq(0.2), DoubleEq(0.4), DoubleEq(0.8), DoubleEq(0.8)));
  spec.mutable_learning_rates()->set_layers(0.4);
  EXPECT_THAT(MaximaOf(spec, 3), ElementsAre(DoubleEq(0.1), DoubleEq(0.1), DoubleEq(0.2), DoubleEq(0.4), DoubleEq(0.8)))
      << "embeddings that are not named follow learning_rate";
  spec.mutable_learning_rates()->set_embeddings(0.3);
  EXPECT_EQ(MaximaOf(spec, 3)[0], 0.3) << "a rate that is given is not decayed";
}

}  // namespace
}  // namespace muster
