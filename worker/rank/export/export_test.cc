#include "worker/rank/export/export.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <limits>

#include "common/files.h"
#include "common/model/families/family.h"
#include "nlohmann/json.hpp"
#include "worker/rank/export/folder_files.h"
#include "worker/rank/model/encoder_weights.h"

namespace muster {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class ExportTest : public testing::Test {
 protected:
  ExportTest() {
    config_.vocabulary_size = 12;
    config_.hidden_size = 8;
    config_.intermediate_size = 16;
    config_.max_positions = config_.max_sequence_length = 16;
    root_ = MakeScratchFolder(testing::TempDir(), "export").value();
    fs::create_directories(root_ / "tokenizer");
    std::ofstream(root_ / "tokenizer/vocab.txt") << "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\nd\ne\nf\ng\n";
    options_.folder = root_ / "model";
    options_.tokenizer = root_ / "tokenizer";
    options_.query_prompt = "query: ";
    options_.probe = {.tokens = at::tensor({2, 5, 3, 2, 7, 8, 3}, at::kLong), .lengths = {3, 4}, .slots = {0, 1}};
    options_.card = {.title = "Tiny | retriever",
                     .settings = {{"objective", "lsepair"}},
                     .scores = {{"untrained", "facets (test)", {{"ndcg@10", 0.125}}},
                                {"trained", "facets (test)", {{"ndcg@10", 0.75}, {"mrr", 0.5}}}}};
  }
  ~ExportTest() override { fs::remove_all(root_); }

  std::unique_ptr<Encoder> MakeEncoder(at::ScalarType type = at::kFloat) const {
    return Encoder::Random(config_, 1, type).value();
  }

  EncoderConfig config_;
  fs::path root_;
  ExportOptions options_;
};

TEST_F(ExportTest, FolderReadsBackAsTheSameModel) {
  config_.pooling = PoolingMode::kCls;
  const auto encoder = MakeEncoder();
  const absl::Status status = ExportFolder(*encoder, options_);
  ASSERT_TRUE(status.ok()) << status;
  const EncoderConfig read = ReadEncoderConfig(options_.folder).value();
  EXPECT_EQ(read.pooling, PoolingMode::kCls);
  EXPECT_TRUE(read.normalize);
  EXPECT_EQ(read.max_sequence_length, 16);
  EXPECT_EQ(read.layer_norm_epsilon, config_.layer_norm_epsilon);
  const auto again = Encoder::Load(options_.folder, read).value();
  EXPECT_TRUE(at::equal(again->Encode(options_.probe, {}), encoder->Encode(options_.probe, {})));
  EXPECT_EQ(std::distance(fs::directory_iterator(root_), {}), 2) << "something was left aside";
}

TEST_F(ExportTest, WithoutNormalizationTheModuleIsLeftOut) {
  config_.normalize = false;
  ASSERT_TRUE(ExportFolder(*MakeEncoder(), options_).ok());
  EXPECT_FALSE(fs::exists(options_.folder / "2_Normalize"));
  EXPECT_FALSE(ReadEncoderConfig(options_.folder).value().normalize);
  EXPECT_THAT(ReadFile(options_.folder / "config_sentence_transformers.json").value(), HasSubstr("\"dot\""));
}

TEST_F(ExportTest, ModelCardNamesScoresSettingsAndPrompts) {
  ASSERT_TRUE(ExportFolder(*MakeEncoder(), options_).ok());
  const std::string card = ReadFile(options_.folder / "README.md").value();
  EXPECT_THAT(card, HasSubstr("| model | data | mrr | ndcg@10 |"));
  EXPECT_THAT(card, HasSubstr("| untrained | facets (test) | | 0.1250 |"));
  EXPECT_THAT(card, HasSubstr("| trained | facets (test) | 0.5000 | 0.7500 |"));
  EXPECT_THAT(card, HasSubstr("| objective | lsepair |"));
  const auto st = nlohmann::json::parse(ReadFile(options_.folder / "config_sentence_transformers.json").value());
  EXPECT_EQ(st["prompts"]["query"], "query: ");
}

// Settings of the base model's folder that training does not change are in the export.
TEST_F(ExportTest, HandsOnWhatTrainingDoesNotDecide) {
  config_.config_json = R"({"architectures": ["BertForMaskedLM"], "model_type": "bert", "vocab_size": 12, "hidden_size": 8,
      "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 16,
      "id2label": {"0": "NO"}, "dtype": "bfloat16", "hidden_dropout_prob": 0.3, "transformers_version": "5.23.0"})";
  config_.prompts.by_name = {{"query", "old: "}, {"clustering", "Topic: "}};
  config_.prompts.default_name = "clustering";
  std::ofstream(root_ / "tokenizer/spiece.model") << "pieces";
  const absl::Status status = ExportFolder(*MakeEncoder(), options_);
  ASSERT_TRUE(status.ok()) << status;
  const auto file = [&](const char* name) { return nlohmann::json::parse(ReadFile(options_.folder / name).value()); };
  const auto model = file("config.json");
  EXPECT_EQ(model["id2label"]["0"], "NO");
  EXPECT_EQ(model["transformers_version"], "5.23.0");
  EXPECT_EQ(model["architectures"][0], "BertModel") << "the export has no head";
  EXPECT_EQ(model["torch_dtype"], "float32");
  EXPECT_FALSE(model.contains("dtype"));
  EXPECT_EQ(model["hidden_dropout_prob"], config_.hidden_dropout);
  const auto st = file("config_sentence_transformers.json");
  EXPECT_EQ(st["prompts"]["clustering"], "Topic: ");
  EXPECT_EQ(st["prompts"]["query"], "query: ");
  EXPECT_EQ(st["default_prompt_name"], "clustering");
  EXPECT_EQ(ReadFile(options_.folder / "spiece.model").value(), "pieces");
  const EncoderConfig read = ReadEncoderConfig(options_.folder).value();
  EXPECT_EQ(read.prompts.by_name.at("clustering"), "Topic: ");
  EXPECT_EQ(read.prompts.query, "query: ");
}

TEST_F(ExportTest, TokenizerLosesTruncationAndPadding) {
  std::ofstream(root_ / "tokenizer/tokenizer.json") << R"({"version":"1.0",
      "truncation":{"max_length":128},"padding":{},"model":{}})";
  ASSERT_TRUE(ExportFolder(*MakeEncoder(), options_).ok());
  const auto json = nlohmann::json::parse(ReadFile(options_.folder / "tokenizer.json").value());
  EXPECT_TRUE(json["truncation"].is_null());
  EXPECT_TRUE(json["padding"].is_null());
  EXPECT_EQ(json["version"], "1.0");
}

// Loaders cut at the length in either file: both have the trained length, regardless of the base model's.
TEST_F(ExportTest, EveryFileNamesTheLengthThatWasTrained) {
  std::ofstream(root_ / "tokenizer/tokenizer_config.json")
      << R"({"do_lower_case":true,"max_length":128,"model_max_length":512,"tokenizer_class":"BertTokenizer"})";
  options_.card.query_tokens = 5;
  options_.card.passage_tokens = 16;
  ASSERT_TRUE(ExportFolder(*MakeEncoder(), options_).ok());
  const auto file = [&](const char* name) { return nlohmann::json::parse(ReadFile(options_.folder / name).value()); };
  EXPECT_EQ(file("sentence_bert_config.json")["max_seq_length"], 16);
  const auto tokenizer = file("tokenizer_config.json");
  EXPECT_EQ(tokenizer["model_max_length"], 16);
  EXPECT_EQ(tokenizer["max_length"], 16);
  EXPECT_EQ(tokenizer["tokenizer_class"], "BertTokenizer");
  EXPECT_THAT(ReadFile(options_.folder / "README.md").value(),
              HasSubstr("at most 16 tokens (training cut queries to 5 and passages to 16)"));
}

TEST_F(ExportTest, RefusesAFolderThatExists) {
  fs::create_directories(options_.folder);
  EXPECT_EQ(ExportFolder(*MakeEncoder(), options_).code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(ExportTest, RefusesAnotherModelsVocabularyAndLeavesNothing) {
  std::ofstream(root_ / "tokenizer/vocab.txt", std::ios::app) << "h\n";  // more than the 12 rows
  EXPECT_FALSE(ExportFolder(*MakeEncoder(), options_).ok());
  EXPECT_EQ(std::distance(fs::directory_iterator(root_), {}), 1);
}

// Weights that single precision cannot hold are a difference that the reload must notice.
TEST_F(ExportTest, AFolderThatEmbedsDifferentlyIsDataLossAndIsNotKept) {
  const auto encoder = MakeEncoder(at::kDouble);
  {
    const at::NoGradGuard no_grad;
    encoder->parameters()[0].value.fill_(1e300);
  }
  EXPECT_EQ(ExportFolder(*encoder, options_).code(), absl::StatusCode::kDataLoss);
  EXPECT_FALSE(fs::exists(options_.folder));
}

constexpr char kBertJson[] = R"({"architectures": ["BertModel"], "model_type": "bert", "vocab_size": 12,
    "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16,
    "max_position_embeddings": 16})";
constexpr char kQwen3Json[] = R"({"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "vocab_size": 12,
    "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4,
    "intermediate_size": 16, "max_position_embeddings": 16, "rms_norm_eps": 1e-6, "rope_theta": 10000,
    "hidden_act": "silu", "attention_bias": false})";

// The folder of an adapted encoder, of a base model in a folder. Numbers are multiples of powers of two, few enough that
// the merged weights are float32 without rounding.
class AdaptedExport : public ExportTest, public testing::WithParamInterface<const char*> {
 protected:
  static constexpr double kScale = 2;

  static void FillWithGrid(std::vector<Parameter>& parameters, double step) {
    const at::NoGradGuard no_grad;
    for (Parameter& parameter : parameters) {
      const at::Tensor places = at::arange(parameter.value.numel(), at::kDouble);
      const double phase = static_cast<double>(parameter.name.size());
      const at::Tensor values = ((places * 0.7 + phase).sin() * (0.4 / step)).round() * step;
      parameter.value.copy_(values.view(parameter.value.sizes()));
    }
  }

  std::unique_ptr<Encoder> LoadAdapted(at::ScalarType type) {
    const fs::path base = root_ / "base";
    fs::create_directories(base);
    EXPECT_TRUE(WriteFileAtomically(base / "config.json", GetParam()).ok());
    fs::copy(root_ / "tokenizer/vocab.txt", base / "vocab.txt", fs::copy_options::overwrite_existing);
    EncoderConfig config = ReadEncoderConfig(base).value();
    const auto model = Encoder::Random(config, 1).value();
    FillWithGrid(model->parameters(), 0x1p-10);
    EXPECT_TRUE(WriteSafetensors(base / "model.safetensors", model->parameters()).ok());
    config.lora = {.rank = 4, .alpha = 4 * kScale, .seed = 5};
    auto adapted = Encoder::Load(base, config, type).value();
    FillWithGrid(adapted->parameters(), 0x1p-5);
    return adapted;
  }
};

at::Tensor Named(const std::vector<Parameter>& parameters, const std::string& name) {
  for (const Parameter& parameter : parameters) {
    if (parameter.name == name) return parameter.value.detach();
  }
  ADD_FAILURE() << "no " << name;
  return {};
}

TEST_P(AdaptedExport, HoldsTheMergedWeightsUnderTheFamilysNamesAndNoAdapter) {
  const auto adapted = LoadAdapted(at::kFloat);
  const absl::Status status = ExportFolder(*adapted->Merged(), options_);
  ASSERT_TRUE(status.ok()) << status;
  const auto written = ReadSafetensors(options_.folder / "model.safetensors").value();
  std::vector<std::string> names, expected;
  for (const Parameter& tensor : written) names.push_back(tensor.name);
  for (const TensorShape& tensor : EncoderTensors(adapted->config())) expected.push_back(tensor.name);
  EXPECT_THAT(names, testing::UnorderedElementsAreArray(expected));
  const auto targets = LoraTargets(adapted->config(), {}).value();
  size_t merged = 0;
  for (const Parameter& base : adapted->fixed()) {
    at::Tensor value = base.value.to(at::kDouble);
    const std::string product = base.name.substr(0, base.name.rfind('.'));
    for (const TensorShape& target : targets) {
      if (target.name != base.name) continue;
      value = value + kScale * at::matmul(Named(adapted->parameters(), product + kLoraUp).to(at::kDouble),
                                          Named(adapted->parameters(), product + kLoraDown).to(at::kDouble));
      ++merged;
    }
    EXPECT_TRUE(at::equal(Named(written, base.name).to(at::kDouble), value)) << base.name;
  }
  EXPECT_EQ(merged, targets.size());
  EXPECT_GE(merged, 12);
}

TEST_P(AdaptedExport, EmbedsAsTheAdaptedEncoderWithoutAdapters) {
  for (const auto& [type, tolerance] : {std::pair(at::kFloat, 1e-6), std::pair(at::kDouble, 1e-14)}) {
    const at::NoGradGuard no_grad;
    const auto adapted = LoadAdapted(type);
    fs::remove_all(options_.folder);
    const absl::Status status = ExportFolder(*adapted->Merged(), options_);
    ASSERT_TRUE(status.ok()) << status;
    const EncoderConfig read = ReadEncoderConfig(options_.folder).value();
    EXPECT_EQ(read.lora.rank, 0);
    const auto again = Encoder::Load(options_.folder, read, type).value();
    EXPECT_TRUE(again->fixed().empty());
    const at::Tensor own = adapted->Encode(options_.probe, {}), reloaded = again->Encode(options_.probe, {});
    const auto base = Encoder::Load(root_ / "base", ReadEncoderConfig(root_ / "base").value(), type).value();
    EXPECT_LE((own - reloaded).abs().max().item<double>(), tolerance) << at::toString(type);
    EXPECT_GT((own - base->Encode(options_.probe, {})).abs().max().item<double>(), 1e-2);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, AdaptedExport, testing::Values(kBertJson, kQwen3Json),
                         [](const auto& info) { return info.index == 0 ? "bert" : "qwen3"; });

}  // namespace
}  // namespace muster
