#include "common/model/parts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/model/families/family.h"
#include "common/model/weights.h"

namespace muster {
namespace {

EncoderConfig ConfigOfFamily(const std::string& architecture) {
  EncoderConfig config;
  config.architecture = architecture;
  config.layers = 12;  // two digits
  config.relative_buckets = architecture == "mpnet" ? 32 : 0;
  config.key_value_heads = 1;
  return config;
}

// For every family: the tables and their norm, each layer's tensors, and the tensors after the last layer have their depths.
TEST(ModelParts, EveryTensorOfEveryFamilyHasItsDepth) {
  for (const std::string& family : FamilyNames()) {
    const EncoderConfig config = ConfigOfFamily(family);
    std::vector<int> tensors(config.layers + 2);
    for (const TensorShape& tensor : ModelTensors(config)) {
      const int64_t depth = DepthOfTensor(tensor.name, config.layers);
      ASSERT_LT(depth, static_cast<int64_t>(tensors.size())) << tensor.name;
      ++tensors[depth];
      const bool table = tensor.name.find("embed") != std::string::npos || tensor.name.find("relative") != std::string::npos;
      EXPECT_EQ(depth == 0, table) << tensor.name;
    }
    EXPECT_GT(tensors.front(), 0) << family;
    for (int64_t layer = 1; layer < config.layers; ++layer) EXPECT_EQ(tensors[layer + 1], tensors[2]) << family << " " << layer;
    EXPECT_GE(tensors[1], tensors[2] - 2) << family << ": ModernBERT's first layer has no norm in front";
    const bool has_head = family == "modernbert" || family == "qwen3";
    EXPECT_EQ(tensors.back() > 0, has_head) << family;
    EXPECT_EQ(HasHead(config), has_head) << family;
  }
}

TEST(ModelParts, AdaptersAndDenseModulesHaveTheirDepth) {
  EXPECT_EQ(DepthOfTensor("encoder.layer.10.attention.self.query.lora_A.weight", 12), 11);
  EXPECT_EQ(DepthOfTensor("2_Dense.linear.weight", 12), 13);
}

TEST(ModelParts, NamesAreReadAndOthersRefused) {
  EXPECT_EQ(ParsePart("embeddings")->kind, PartKind::kEmbeddings);
  EXPECT_EQ(ParsePart("head")->kind, PartKind::kHead);
  EXPECT_EQ(ParsePart("layers")->last, -1);
  EXPECT_EQ(ParsePart("layers.3")->first, 3);
  EXPECT_EQ(ParsePart("layers.3")->last, 3);
  EXPECT_EQ(ParsePart("layers.0-10")->last, 10);
  for (const char* wrong : {"", "layer.3", "layers.", "layers.a", "layers.-1", "layers.3-", "layers.3-2", "layers.1-2-3",
                            "Layers", "layers.99999999999999999999"}) {
    EXPECT_EQ(ParsePart(wrong).status().message(),
              std::string("\"") + wrong +
                  "\" is not a part of a model. Allowed: embeddings, layers, layers.3, layers.0-5, head.");
  }
}

TEST(ModelParts, FreezingIsCheckedAgainstTheModel) {
  EncoderConfig config = ConfigOfFamily("bert");
  const auto error = [&](std::vector<std::string> parts) {
    config.frozen = std::move(parts);
    return std::string(CheckFrozen(config).message());
  };
  EXPECT_EQ(error({}), "");
  EXPECT_EQ(error({"embeddings", "layers.0-10"}), "");
  EXPECT_TRUE(IsFrozen(config, "encoder.layer.10.output.dense.weight"));
  EXPECT_FALSE(IsFrozen(config, "encoder.layer.11.output.dense.weight"));
  EXPECT_TRUE(IsFrozen(config, "embeddings.LayerNorm.bias"));
  EXPECT_EQ(error({"layers.6-12"}), "model.freeze: layers.6-12: the model has 12 layers, from layers.0 to layers.11.");
  EXPECT_EQ(error({"head"}), "model.freeze: head: the model has nothing after its layers. Leave it out.");
  EXPECT_EQ(error({"layers", "embeddings"}), "model.freeze: leaves nothing to train. Name fewer parts.");
  config.lora.rank = 4;
  EXPECT_EQ(error({"layers"}), "model.freeze: leaves nothing to train. Name fewer parts.") << "adapters are in the layers";
  EXPECT_EQ(error({"layers.0-3"}), "");
}

}  // namespace
}  // namespace muster
