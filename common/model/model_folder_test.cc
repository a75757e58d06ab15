// Folders as transformers 4 and 5 and sentence-transformers 2 to 6 save them, and how users modify them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/model/folder_files.h"
#include "common/model/hf_config.h"
#include "common/model/sentence_modules.h"
#include "common/model/testing/zero_weights.h"
#include "common/model/weights.h"

namespace muster {
namespace {

using nlohmann::json;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ModelFolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = MakeScratchFolder(testing::TempDir(), "folder").value();
    config_ = {{"model_type", "bert"},          {"vocab_size", 5},          {"hidden_size", 8},
               {"num_hidden_layers", 1},        {"num_attention_heads", 2}, {"intermediate_size", 16},
               {"max_position_embeddings", 12}, {"hidden_act", "gelu"}};
    WriteJson("config.json", config_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(MakeFolders((folder_ / name).parent_path()).ok());
    ASSERT_TRUE(WriteFileAtomically(folder_ / name, text).ok());
  }
  void WriteJson(const std::string& name, const json& value) { Write(name, value.dump()); }
  // modules.json with these class paths, each in the folder that sentence-transformers uses for it.
  void WriteModules(const std::vector<std::string>& types) {
    json list = json::array();
    for (const std::string& type : types) {
      const size_t index = list.size();
      const std::string path = index == 0 ? "" : absl::StrCat(index, "_", type.substr(type.rfind('.') + 1));
      list.push_back({{"idx", index}, {"name", absl::StrCat(index)}, {"path", path}, {"type", type}});
    }
    WriteJson("modules.json", list);
  }
  void WriteMeanFolder() {
    WriteModules({"sentence_transformers.models.Transformer", "sentence_transformers.models.Pooling",
                  "sentence_transformers.models.Normalize"});
    WriteJson("1_Pooling/config.json", {{"word_embedding_dimension", 8}, {"pooling_mode_mean_tokens", true}});
  }
  EncoderConfig Read() {
    const auto config = ReadEncoderConfig(folder_);
    EXPECT_TRUE(config.ok()) << config.status();
    return config.value_or(EncoderConfig());
  }
  std::string Error() { return std::string(ReadEncoderConfig(folder_).status().message()); }

  void WriteTensors(const std::string& file, const std::vector<TensorShape>& tensors, const std::string& dtype = "F32") {
    Write(file, ZeroWeights(tensors, dtype));
  }

  std::filesystem::path folder_;
  json config_;
};

TEST_F(ModelFolderTest, PoolingHasTwoSpellings) {
  WriteMeanFolder();
  const auto pooling = [&](const json& file) {
    WriteJson("1_Pooling/config.json", file);
    return Read().pooling;
  };
  EXPECT_EQ(pooling({{"pooling_mode", "cls"}, {"embedding_dimension", 8}}), PoolingMode::kCls);
  EXPECT_EQ(pooling({{"pooling_mode", "mean"}, {"embedding_dimension", 8}, {"include_prompt", true}}), PoolingMode::kMean);
  EXPECT_EQ(pooling({{"pooling_mode", {"lasttoken"}}}), PoolingMode::kLast);
  EXPECT_EQ(pooling({{"pooling_mode_lasttoken", true}, {"pooling_mode_mean_tokens", false}}), PoolingMode::kLast);
  EXPECT_EQ(pooling({{"pooling_mode_cls_token", true}}), PoolingMode::kCls);
  EXPECT_EQ(pooling({{"pooling_mode", "cls"}, {"pooling_mode_mean_tokens", true}}), PoolingMode::kCls) << "as upstream";
}

TEST_F(ModelFolderTest, PoolingIsNeverDefaulted) {
  WriteMeanFolder();
  const auto error = [&](const json& file) {
    WriteJson("1_Pooling/config.json", file);
    return Error();
  };
  EXPECT_THAT(error({{"embedding_dimension", 8}}), HasSubstr("1_Pooling/config.json: names no pooling"));
  EXPECT_THAT(error({{"pooling_mode", "median"}}), HasSubstr("pooling_mode: \"median\" is not supported. Supported: cls, mean"));
  EXPECT_THAT(error({{"pooling_mode", {"cls", "mean"}}}), HasSubstr("several modes"));
  EXPECT_THAT(error({{"pooling_mode_cls_token", true}, {"pooling_mode_mean_tokens", true}}),
              HasSubstr("pooling_mode_mean_tokens: a second pooling"));
  EXPECT_THAT(error({{"pooling_mode", "cls"}, {"layer_weights", 3}}), HasSubstr("key \"layer_weights\" (3) is not known"));
  EXPECT_THAT(error({{"pooling_mode", "cls"}, {"embedding_dimension", 16}}), HasSubstr("belongs to another model"));
  std::filesystem::remove(folder_ / "1_Pooling/config.json");
  EXPECT_THAT(Error(), HasSubstr("1_Pooling/config.json"));
}

TEST_F(ModelFolderTest, ModulesAreKnownByTheirExactClassPath) {
  WriteMeanFolder();
  WriteModules({"sentence_transformers.base.modules.transformer.Transformer",
                "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
                "sentence_transformers.base.modules.normalize.Normalize"});
  EXPECT_TRUE(Read().normalize);
  WriteModules({"sentence_transformers.models.Transformer", "sentence_transformers.models.Pooling"});
  EXPECT_FALSE(Read().normalize);
  WriteModules({"sentence_transformers.models.Transformer.Transformer", "sentence_transformers.models.Pooling.Pooling",
                "sentence_transformers.models.Normalize.Normalize"});
  EXPECT_TRUE(Read().normalize) << "with the file's name, as it was until 5.3";
  for (const char* type : {"sentence_transformers.models.LayerNorm", "my.package.Normalize", "Normalize", "",
                           "sentence_transformers.sparse_encoder.models.SpladePooling"}) {
    WriteModules({"sentence_transformers.models.Transformer", "sentence_transformers.models.Pooling", type});
    EXPECT_THAT(Error(), HasSubstr("modules.json: module 2: type \"" + std::string(type) + "\" is not supported")) << type;
  }
}

TEST_F(ModelFolderTest, AConfigurationFileThatIsNotKnownIsNamed) {
  WriteMeanFolder();
  const size_t notes = Read().notes.size();
  WriteJson("generation_config.json", {{"max_length", 20}, {"any", 1}});
  WriteJson("preprocessor_config.json", json::object());
  WriteJson("results.json", json::object());
  EXPECT_EQ(Read().notes.size(), notes) << "known to be harmless, or no configuration";
  WriteJson("router_config.json", json::object());
  WriteJson("config_mine.json", json::object());
  EXPECT_THAT(Read().notes, Contains("config_mine.json, router_config.json are not known and not used."));
}

TEST_F(ModelFolderTest, ATokenizersFilesAreListedOnce) {
  for (const char* name : {"tokenizer.json", "vocab.txt", "sentencepiece.bpe.model"}) {
    EXPECT_TRUE(IsTokenizerSource(name) && DecidesTokenIds(name) && IsTokenizerFile(name)) << name;
  }
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"}) {
    EXPECT_TRUE(!IsTokenizerSource(name) && DecidesTokenIds(name) && IsTokenizerFile(name)) << name;
  }
  for (const char* name : {"spiece.model", "vocab.json", "chat_template.jinja"}) {
    EXPECT_TRUE(!IsTokenizerSource(name) && !DecidesTokenIds(name) && IsTokenizerFile(name)) << name;
  }
  EXPECT_TRUE(DecidesTokenIds("config.json") && !IsTokenizerFile("config.json")) << "exports write their own";
}

TEST_F(ModelFolderTest, ModulesRunInTheListsOrderAndFromTheirFolders) {
  WriteMeanFolder();
  const json transformer = {{"idx", 0}, {"name", "0"}, {"path", ""}, {"type", "sentence_transformers.models.Transformer"}};
  json pooling = {{"idx", 1}, {"name", "1"}, {"path", "the_pooling/"}, {"type", "sentence_transformers.models.Pooling"}};
  WriteJson("the_pooling/config.json", {{"pooling_mode_cls_token", true}});
  WriteJson("modules.json", {transformer, pooling});
  EXPECT_EQ(Read().pooling, PoolingMode::kCls) << "not that of 1_Pooling";
  pooling["idx"] = 0;
  WriteJson("modules.json", {transformer, pooling});
  EXPECT_THAT(Error(), HasSubstr("idx 0 contradicts"));
  pooling["idx"] = 1;
  pooling["path"] = "../elsewhere";
  WriteJson("modules.json", {transformer, pooling});
  EXPECT_THAT(Error(), HasSubstr("is not a folder in the model's folder"));
  pooling["path"] = "";
  WriteJson("modules.json", {transformer, pooling});
  EXPECT_THAT(Error(), HasSubstr("is not a folder in the model's folder"));
  WriteJson("modules.json", {pooling = {{"type", "sentence_transformers.models.Pooling"}}, transformer});
  EXPECT_THAT(Error(), HasSubstr("idx 0 contradicts"));
  WriteModules({"sentence_transformers.models.Transformer"});
  EXPECT_THAT(Error(), HasSubstr("the modules Transformer are not supported in this order"));
  WriteJson("modules.json", json::array());
  EXPECT_THAT(Error(), HasSubstr("(none)"));
}

TEST_F(ModelFolderTest, MaximumLengthIsTheFirstThatIsGiven) {
  WriteMeanFolder();
  EXPECT_EQ(Read().max_sequence_length, 12) << "the positions";
  WriteJson("tokenizer_config.json", {{"model_max_length", 1e30}});
  EXPECT_EQ(Read().max_sequence_length, 12) << "transformers' word for none";
  WriteJson("tokenizer_config.json", {{"model_max_length", 7}});
  EXPECT_EQ(Read().max_sequence_length, 7);
  WriteJson("sentence_bert_config.json", {{"max_seq_length", nullptr}, {"do_lower_case", false}});
  EXPECT_EQ(Read().max_sequence_length, 7);
  WriteJson("sentence_bert_config.json", {{"max_seq_length", 9}});
  EXPECT_EQ(Read().max_sequence_length, 9);
  WriteJson("sentence_bert_config.json", {{"max_seq_length", 512}});
  const EncoderConfig cut = Read();
  EXPECT_EQ(cut.max_sequence_length, 12);
  EXPECT_THAT(cut.notes, Contains(HasSubstr("max_seq_length 512 is more than the model's 12 positions")));
  std::filesystem::remove(folder_ / "sentence_bert_config.json");
  WriteJson("sentence_roberta_config.json", {{"max_seq_length", 6}});
  EXPECT_EQ(Read().max_sequence_length, 6);
  std::filesystem::remove(folder_ / "sentence_roberta_config.json");
  WriteJson("tokenizer_config.json", {{"model_max_length", -1}});
  EXPECT_THAT(Error(), HasSubstr("tokenizer_config.json: model_max_length: -1 is not a length"));
}

TEST_F(ModelFolderTest, SettingsThatChangeTokensAreRefusedByName) {
  WriteMeanFolder();
  const auto error = [&](const char* file, const json& value) {
    WriteJson(file, value);
    const std::string text = Error();
    std::filesystem::remove(folder_ / file);
    return text;
  };
  const char* sentence = "sentence_bert_config.json";
  EXPECT_THAT(error(sentence, {{"transformer_task", "fill-mask"}}), HasSubstr("transformer_task: \"fill-mask\""));
  EXPECT_THAT(error(sentence, {{"module_output_name", "sentence_embedding"}}), HasSubstr("module_output_name"));
  EXPECT_THAT(error(sentence, {{"modality_config", {{"image", {{"method", "forward"}}}}}}), HasSubstr("modality_config"));
  EXPECT_THAT(error(sentence, {{"processing_kwargs", {{"text", {{"max_length", 3}}}}}}), HasSubstr("processing_kwargs"));
  EXPECT_THAT(error(sentence, {{"query_length", 32}}), HasSubstr("set model.max_length of the job"));
  EXPECT_THAT(error(sentence, {{"model_args", {{"rotary_scaling", 2}}}}), HasSubstr("model_args: key \"rotary_scaling\""));
  EXPECT_EQ(error(sentence, {{"model_args", {{"attn_implementation", "eager"}}}, {"unpad_inputs", true}}), "");
  EXPECT_THAT(error(sentence, {{"max_length", 3}}), HasSubstr("key \"max_length\" (3) is not known"));
  EXPECT_THAT(error("tokenizer_config.json", {{"truncation_side", "left"}}), HasSubstr("truncation_side: \"left\""));
  EXPECT_THAT(error("2_Normalize/config.json", {{"module_input_name", "token_embeddings"}}), HasSubstr("module_input_name"));
  const char* prompts = "config_sentence_transformers.json";
  EXPECT_THAT(error(prompts, {{"model_type", "SparseEncoder"}}), HasSubstr("model_type: \"SparseEncoder\""));
  EXPECT_THAT(error(prompts, {{"truncate_dim", 4}}), HasSubstr("loss.matryoshka_dimensions"));
  EXPECT_THAT(error(prompts, {{"similarity_fn_name", "manhattan"}}), HasSubstr("Supported: cosine, dot, euclidean"));
}

// Lower-casing twice or not at all; lower-casing before a cased tokenizer turns it into a different tokenizer.
TEST_F(ModelFolderTest, LoweringLettersTwiceIsHarmless) {
  WriteMeanFolder();
  WriteJson("sentence_bert_config.json", {{"do_lower_case", true}});
  WriteJson("tokenizer_config.json", {{"do_lower_case", true}});
  EXPECT_EQ(Error(), "");
  WriteJson("tokenizer_config.json", {{"do_lower_case", false}});
  EXPECT_THAT(Error(), HasSubstr("sentence_bert_config.json: do_lower_case: true is not supported"));
  WriteJson("tokenizer.json", {{"normalizer", {{"type", "BertNormalizer"}, {"lowercase", true}}}});
  EXPECT_EQ(Error(), "") << "tokenizer.json counts";
  WriteJson("tokenizer.json", {{"normalizer", nullptr}});
  EXPECT_THAT(Error(), HasSubstr("do_lower_case"));
}

TEST_F(ModelFolderTest, PromptsAreThoseThatSentenceTransformersPuts) {
  WriteMeanFolder();
  const auto prompts = [&](const json& texts, const json& default_name = nullptr) {
    WriteJson("config_sentence_transformers.json", {{"prompts", texts}, {"default_prompt_name", default_name}});
    const FolderPrompts read = Read().prompts;
    return std::vector<std::string>{read.query, read.passage};
  };
  EXPECT_THAT(prompts({{"query", "q: "}, {"document", "d: "}}), ElementsAre("q: ", "d: "));
  EXPECT_THAT(prompts({{"query", "q: "}, {"passage", "p: "}}), ElementsAre("q: ", "p: "));
  EXPECT_THAT(prompts({{"query", "q: "}, {"document", ""}, {"passage", "p: "}}), ElementsAre("q: ", "p: "));
  EXPECT_THAT(prompts({{"query", "q: "}}, "query"), ElementsAre("q: ", ""));
  EXPECT_THAT(prompts({{"retrieval", "r: "}}, "retrieval"), ElementsAre("r: ", "r: "));
  EXPECT_THAT(prompts({{"clustering", "c: "}, {"query", nullptr}}), ElementsAre("", ""));
  EXPECT_THAT(Read().notes, Contains(HasSubstr("prompts clustering are kept for the export")));
  WriteJson("config_sentence_transformers.json", {{"prompts", {{"query", "q"}}}, {"default_prompt_name", "passage"}});
  EXPECT_THAT(Error(), HasSubstr("default_prompt_name: \"passage\" is not among the prompts"));
  WriteJson("config_sentence_transformers.json", {{"prompts", {{"query", 3}}}});
  EXPECT_THAT(Error(), HasSubstr("prompts: query: 3 is not a string"));
}

TEST_F(ModelFolderTest, KeysOfConfigJsonAreHonoredHarmlessOrRefused) {
  WriteMeanFolder();
  const auto error = [&](const char* key, const json& value) {
    json changed = config_;
    changed[key] = value;
    WriteJson("config.json", changed);
    return Error();
  };
  EXPECT_THAT(error("layer_scale", 2), HasSubstr("config.json: key \"layer_scale\" (2) is not known"));
  EXPECT_EQ(error("layer_scale", nullptr), "");
  EXPECT_THAT(error("is_decoder", true), HasSubstr("is_decoder"));
  EXPECT_EQ(error("is_decoder", false), "");
  EXPECT_THAT(error("auto_map", {{"AutoModel", "modeling.Mine"}}), HasSubstr("its own code"));
  EXPECT_THAT(error("quantization_config", {{"bits", 4}}), HasSubstr("quantized"));
  EXPECT_THAT(error("pruned_heads", {{"0", {1}}}), HasSubstr("pruned_heads"));
  EXPECT_EQ(error("pruned_heads", json::object()), "");
  // What transformers 4 and 5 write, and the first BERT models.
  json old = config_;
  old.update(json::parse(R"({"_name_or_path": "bert", "architectures": ["BertForMaskedLM"], "torch_dtype": "float32",
      "attention_probs_dropout_prob": 0.1, "gradient_checkpointing": false, "hidden_dropout_prob": 0.1,
      "initializer_range": 0.02, "layer_norm_eps": 1e-12, "pad_token_id": 0, "position_embedding_type": "absolute",
      "transformers_version": "4.6.0", "type_vocab_size": 2, "use_cache": true, "classifier_dropout": null,
      "directionality": "bidi", "pooler_fc_size": 768, "pooler_num_attention_heads": 12, "pooler_num_fc_layers": 3,
      "pooler_size_per_head": 128, "pooler_type": "first_token_transform", "id2label": {"0": "A"}, "label2id": {"A": 0},
      "add_cross_attention": false, "tie_word_embeddings": true, "dtype": "float32", "bos_token_id": null,
      "output_past": true, "num_labels": 2, "finetuning_task": "mnli", "tokenizer_class": "BertTokenizer"})"));
  WriteJson("config.json", old);
  EXPECT_EQ(Error(), "");
}

TEST_F(ModelFolderTest, DenseModulesFollowOneAnother) {
  WriteMeanFolder();
  const std::string models = "sentence_transformers.models.";
  WriteModules({models + "Transformer", models + "Pooling", models + "Normalize", models + "Dense"});
  EXPECT_THAT(Error(), HasSubstr("Transformer, Pooling, Normalize, Dense are not supported in this order"));
  WriteModules({models + "Transformer", models + "Pooling", models + "Dense"});
  const auto error = [&](json file) {
    WriteJson("2_Dense/config.json", file);
    return Error();
  };
  EXPECT_THAT(error({{"in_features", 4}, {"out_features", 4}}), HasSubstr("in_features: 4, the module before it makes 8"));
  EXPECT_THAT(error({{"in_features", 8}, {"out_features", 4}, {"activation_function", "torch.nn.modules.activation.ELU"}}),
              HasSubstr("activation_function: \"torch.nn.modules.activation.ELU\" is not supported"));
  EXPECT_THAT(error({{"in_features", 8}, {"out_features", 4}, {"use_residual", true}}), HasSubstr("use_residual"));
  for (const char* activation : {"tanh", "identity", "relu", "gelu", "silu", "sigmoid"}) {
    const std::string path = DenseActivationClass(activation), kind = path.substr(path.rfind('.') + 1);
    for (const std::string& type : {path, "torch.nn." + kind}) {
      WriteJson("2_Dense/config.json", {{"in_features", 8}, {"out_features", 4}, {"activation_function", type}});
      EXPECT_EQ(Read().dense.at(0).activation, activation) << type;
    }
  }
}

TEST_F(ModelFolderTest, BareFoldersSayWhatIsAssumed) {
  EXPECT_THAT(Read().notes, ElementsAre(HasSubstr("modules.json is missing: mean pooling and normalization are assumed")));
  WriteMeanFolder();
  EXPECT_THAT(Read().notes, IsEmpty());
}

TEST_F(ModelFolderTest, WeightsAreFoundUnderTheNamesOfOlderFilesAndHeadsAreLeftOut) {
  const EncoderConfig config = Read();
  for (const std::string prefix : {"", "bert.", "model.", "base_model.bert."}) {
    std::vector<TensorShape> tensors = EncoderTensors(config);
    for (TensorShape& tensor : tensors) {
      tensor.name = prefix + tensor.name;
      if (absl::EndsWith(tensor.name, "LayerNorm.weight")) tensor.name.replace(tensor.name.size() - 6, 6, "gamma");
      if (absl::EndsWith(tensor.name, "LayerNorm.bias")) tensor.name.replace(tensor.name.size() - 4, 4, "beta");
    }
    tensors.push_back({prefix + "pooler.dense.weight", {8, 8}});
    tensors.push_back({"cls.predictions.bias", {5}});
    tensors.push_back({prefix + "encoder.layer.1.output.dense.bias", {8}});
    for (const char* dtype : {"F32", "F16", "BF16", "F64"}) {
      WriteTensors("model.safetensors", tensors, dtype);
      const auto weights = FindWeights(folder_, config);
      ASSERT_TRUE(weights.ok()) << weights.status() << " with \"" << prefix << "\"";
      EXPECT_EQ(weights->tensors.size(), EncoderTensors(config).size());
      EXPECT_THAT(weights->notes, ElementsAre(HasSubstr("pooler.dense.weight"), HasSubstr("encoder.layer.1.")));
    }
  }
}

TEST_F(ModelFolderTest, WordEmbeddingsMayBeStoredUnderTheOutputLayersName) {
  const EncoderConfig config = Read();
  std::vector<TensorShape> tensors = EncoderTensors(config);
  ASSERT_TRUE(absl::StrContains(tensors[0].name, "word_embeddings"));
  tensors[0].name = "cls.predictions.decoder.weight";
  WriteTensors("model.safetensors", tensors);
  EXPECT_TRUE(FindWeights(folder_, config).ok()) << FindWeights(folder_, config).status();
  tensors[0].shape = {6, 8};
  WriteTensors("model.safetensors", tensors);
  EXPECT_THAT(std::string(FindWeights(folder_, config).status().message()), HasSubstr("word_embeddings.weight [5, 8] is missing"));
}

TEST_F(ModelFolderTest, ShardsFollowTheIndex) {
  const EncoderConfig config = Read();
  const std::vector<TensorShape> tensors = EncoderTensors(config);
  const std::vector<TensorShape> first(tensors.begin(), tensors.begin() + 7), second(tensors.begin() + 7, tensors.end());
  const std::string a = "model-00001-of-00002.safetensors", b = "model-00002-of-00002.safetensors";
  WriteTensors(a, first);
  WriteTensors(b, second);
  json map;
  for (const TensorShape& tensor : first) map[tensor.name] = a;
  for (const TensorShape& tensor : second) map[tensor.name] = b;
  const auto write_index = [&] { WriteJson("model.safetensors.index.json", {{"metadata", json::object()}, {"weight_map", map}}); };
  const auto error = [&] { return std::string(FindWeights(folder_, config).status().message()); };
  write_index();
  EXPECT_EQ(error(), "");
  WriteTensors("model-00003-of-00003.safetensors", {});
  EXPECT_THAT(FindWeights(folder_, config)->notes, ElementsAre(HasSubstr("does not list model-00003-of-00003.safetensors")));

  map[tensors[0].name] = b;
  write_index();
  EXPECT_THAT(error(), HasSubstr(absl::StrCat(b, ": tensor ", tensors[0].name, " is missing")));
  map[tensors[0].name] = a;
  write_index();
  std::filesystem::copy_file(folder_ / a, folder_ / b, std::filesystem::copy_options::overwrite_existing);
  EXPECT_THAT(error(), HasSubstr(b + ": tensor ")) << "the first shard has what it must have; the second is its copy";
  WriteTensors(b, second);
  map.erase(tensors[0].name);
  write_index();
  EXPECT_THAT(error(), HasSubstr("model.safetensors.index.json: embeddings.word_embeddings.weight [5, 8] is missing"));
  map[tensors[0].name] = "../secret";
  write_index();
  EXPECT_THAT(error(), HasSubstr("must be a file of the folder"));
  map[tensors[0].name] = a;
  write_index();
  std::filesystem::remove(folder_ / b);
  EXPECT_THAT(error(), HasSubstr(b + ": is missing, and model.safetensors.index.json says that it has"));
  Write("model.safetensors.index.json", "[]");
  EXPECT_THAT(error(), HasSubstr("weight_map"));
  WriteTensors("model.safetensors", tensors);
  EXPECT_EQ(error(), "") << "a whole file goes before the index, as in transformers";
}

TEST(ModelPaths, AreAWholeModelOrATokenizer) {
  const auto error = [](std::vector<std::string> paths) { return std::string(CheckModelPaths(paths).message()); };
  EXPECT_EQ(error({"config.json", "model.safetensors", "tokenizer.json"}), "");
  EXPECT_EQ(error({"config.json", "model.safetensors.index.json", "sentencepiece.bpe.model"}), "");
  EXPECT_EQ(error({"vocab.txt"}), "");
  EXPECT_THAT(error({"config.json", "model.safetensors"}), HasSubstr("tokenizer.json is missing"));
  EXPECT_THAT(error({"config.json", "vocab.txt", "pytorch_model.bin"}), HasSubstr("AutoModel.from_pretrained"));
  EXPECT_THAT(error({"adapter_config.json", "adapter_model.safetensors"}), HasSubstr("merge_and_unload"));
  EXPECT_THAT(error({"model.safetensors", "vocab.txt"}), HasSubstr("config.json is missing"));
  for (const char* path : {"config.json", "2_Dense/model.safetensors", "spiece.model", "merges.txt", "model-00001-of-00002.safetensors"}) {
    EXPECT_TRUE(IsModelFile(path)) << path;
  }
  for (const char* path : {"pytorch_model.bin", "onnx/config.json", "training_args.bin", "2_Dense/pytorch_model.bin",
                           "checkpoint-500/model.safetensors", "model.fp16.safetensors"}) {
    EXPECT_FALSE(IsModelFile(path)) << path;
  }
}

}  // namespace
}  // namespace muster
