// Keys of config.json by family: honored, or refused by an error that names them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "common/model/families/family.h"
#include "common/status.h"

namespace muster {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const json kSizes = {{"vocab_size", 50},          {"hidden_size", 12},       {"num_hidden_layers", 4},
                     {"num_attention_heads", 2},  {"intermediate_size", 16}, {"max_position_embeddings", 40},
                     {"num_key_value_heads", 1}};

absl::StatusOr<EncoderConfig> Read(const std::string& type, const json& changes = json::object()) {
  json value = kSizes;
  value.update(changes);
  EncoderConfig config;
  config.architecture = type;
  RETURN_IF_ERROR(FindFamily(type)->read(Keys("config.json", value), config));
  return config;
}

std::string Error(const std::string& type, const json& changes) {
  return std::string(Read(type, changes).status().message());
}

TEST(Families, PositionsBeginAfterThePaddingToken) {
  EXPECT_EQ(Read("bert", {{"pad_token_id", 3}})->max_positions, 40);
  EXPECT_EQ(Read("roberta")->max_positions, 38);
  EXPECT_EQ(Read("xlm-roberta", {{"pad_token_id", 4}})->max_positions, 35);
  EXPECT_EQ(Read("mpnet", {{"pad_token_id", 4}})->max_positions, 38) << "transformers' MPNet only knows 1";
  EXPECT_THAT(Error("roberta", {{"max_position_embeddings", 2}}), HasSubstr("leaves no position"));
  const EncoderConfig config = *Read("xlm-roberta", {{"pad_token_id", 4}});
  EXPECT_THAT(FamilyOf(config).tensors(config)[1].shape, ElementsAre(40, 12));
}

TEST(Families, DistilBertHasKeysOfItsOwn) {
  const auto config = Read("distilbert", {{"dim", 6}, {"n_layers", 3}, {"n_heads", 3}, {"hidden_dim", 8},
                                          {"dropout", 0.2}, {"attention_dropout", 0.3}, {"activation", "relu"}});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->hidden_size, 6);
  EXPECT_EQ(config->layers, 3);
  EXPECT_EQ(config->heads, 3);
  EXPECT_EQ(config->intermediate_size, 8);
  EXPECT_EQ(config->hidden_dropout, 0.2);
  EXPECT_EQ(config->attention_dropout, 0.3);
  EXPECT_EQ(config->activation, "relu");
  EXPECT_THAT(Error("distilbert", json::object()), HasSubstr("dim is missing"));
}

TEST(Families, MpnetNeedsAllBuckets) {
  EXPECT_EQ(Read("mpnet", {{"relative_attention_num_buckets", 64}})->relative_buckets, 64);
  EXPECT_THAT(Error("mpnet", {{"relative_attention_num_buckets", 16}}), HasSubstr("relative_attention_num_buckets: 16"));
}

TEST(Families, ModernBertReadsBothSpellingsOfPositionsAndLayers) {
  const EncoderConfig old = *Read("modernbert", {{"global_attn_every_n_layers", 2}, {"global_rope_theta", 100000.0},
                                                 {"local_rope_theta", 5000.0}, {"local_attention", 9}});
  EXPECT_THAT(old.local, ElementsAre(false, true, false, true));
  EXPECT_EQ(old.rope_theta, 100000);
  EXPECT_EQ(old.local_rope_theta, 5000);
  EXPECT_EQ(old.window, 4);
  const EncoderConfig current =
      *Read("modernbert", {{"layer_types", {"sliding_attention", "full_attention", "full_attention", "full_attention"}},
                           {"rope_parameters", {{"full_attention", {{"rope_type", "default"}, {"rope_theta", 7e4}}},
                                                {"sliding_attention", {{"rope_theta", 3e3}}}}}});
  EXPECT_THAT(current.local, ElementsAre(true, false, false, false));
  EXPECT_EQ(current.rope_theta, 7e4);
  EXPECT_EQ(current.local_rope_theta, 3e3);
  EXPECT_EQ(current.window, 64);
  EXPECT_THAT(Error("modernbert", {{"rope_parameters", {{"full_attention", {{"rope_type", "yarn"}}}}}}),
              HasSubstr("rope_parameters.full_attention.rope_type: \"yarn\" is not supported"));
  EXPECT_THAT(Error("modernbert", {{"layer_types", {"full_attention"}}}), HasSubstr("must be a list of 4"));
  EXPECT_THAT(Error("modernbert", {{"layer_types", {"a", "b", "c", "d"}}}), HasSubstr("layer_types[0]"));
}

TEST(Families, ModernBertReadsBiasesAndRefusesTwoDropouts) {
  EXPECT_FALSE(Read("modernbert")->attention_bias);
  const EncoderConfig config =
      *Read("modernbert", {{"attention_bias", true}, {"mlp_bias", true}, {"norm_bias", true}, {"mlp_dropout", 0.1},
                           {"embedding_dropout", 0.1}, {"attention_dropout", 0.2}});
  EXPECT_EQ(FamilyOf(config).tensors(config).size(), 1 + 2 + 4 * 12 - 2 + 2);
  EXPECT_EQ(config.hidden_dropout, 0.1);
  EXPECT_EQ(config.attention_dropout, 0.2);
  EXPECT_THAT(Error("modernbert", {{"mlp_dropout", 0.1}}), HasSubstr("embedding_dropout: 0 is not supported together with"));
}

TEST(Families, Qwen3HasHeadsOfTheirOwnSize) {
  const EncoderConfig config = *Read("qwen3", {{"head_dim", 10}, {"rope_theta", 1e6}, {"rms_norm_eps", 1e-5},
                                               {"use_sliding_window", false}, {"sliding_window", 4096}});
  EXPECT_EQ(config.HeadSize(), 10);
  EXPECT_EQ(config.KeyValueHeads(), 1);
  EXPECT_EQ(config.rope_theta, 1e6);
  EXPECT_EQ(config.pooling, PoolingMode::kLast);
  EXPECT_EQ(Read("qwen3", {{"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 5e5}}}})->rope_theta, 5e5);
  EXPECT_THAT(Error("qwen3", {{"use_sliding_window", true}}), HasSubstr("use_sliding_window: true is not supported"));
  EXPECT_THAT(Error("qwen3", {{"layer_types", {"sliding_attention"}}}), HasSubstr("only full_attention"));
  EXPECT_THAT(Error("qwen3", {{"rope_scaling", {{"rope_type", "yarn"}, {"factor", 4.0}}}}),
              HasSubstr("rope_scaling.rope_type: \"yarn\" is not supported"));
  EXPECT_THAT(Error("qwen3", {{"head_dim", 5}}), HasSubstr("rotary positions need an even number"));
  EXPECT_THAT(Error("qwen3", {{"num_key_value_heads", 3}}), HasSubstr("not a multiple of num_key_value_heads 3"));
}

TEST(LoraTargets, AreProductsOfLayersByTheEndsOfTheirNames) {
  for (const std::string& type : FamilyNames()) {
    json changes = {{"dim", 6}, {"n_layers", 4}, {"n_heads", 3}, {"hidden_dim", 8}, {"head_dim", 4}};
    const EncoderConfig config = *Read(type, changes);
    const auto all = LoraTargets(config, {});
    ASSERT_TRUE(all.ok()) << all.status();
    EXPECT_EQ(all->size(), 4 * (type == "modernbert" ? 4 : type == "qwen3" ? 7 : 6)) << type;
  }
  const EncoderConfig bert = *Read("bert");
  EXPECT_EQ(LoraTargets(bert, {"query"})->size(), 4);
  EXPECT_EQ(LoraTargets(bert, {"query", "attention.self.value"})->size(), 8);
  EXPECT_EQ(LoraTargets(bert, {"dense"})->size(), 12);
  EXPECT_EQ(LoraTargets(bert, {"query"})->front().name, "encoder.layer.0.attention.self.query.weight");
  EXPECT_EQ(LoraTargets(bert, {"q_proj"}).status().message(),
            "model.lora.targets: \"q_proj\" is not a product of a bert model. Allowed: ends of attention.self.query, "
            "attention.self.key, attention.self.value, attention.output.dense, intermediate.dense, output.dense.");
  EXPECT_FALSE(LoraTargets(bert, {"word_embeddings"}).ok());
  EXPECT_FALSE(LoraTargets(bert, {"uery"}).ok()) << "whole parts of names";
}

}  // namespace
}  // namespace muster
