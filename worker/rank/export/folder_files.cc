#include "worker/rank/export/folder_files.h"

#include "common/model/sentence_modules.h"
#include "nlohmann/json.hpp"

namespace muster {
namespace {

using Json = nlohmann::ordered_json;

std::string Pretty(const Json& value) { return value.dump(2) + "\n"; }

// config.json of the preset, which is a BERT model.
Json PresetConfigJson(const EncoderConfig& config) {
  return {{"architectures", {"BertModel"}},
          {"model_type", "bert"},
          {"vocab_size", config.vocabulary_size},
          {"hidden_size", config.hidden_size},
          {"num_hidden_layers", config.layers},
          {"num_attention_heads", config.heads},
          {"intermediate_size", config.intermediate_size},
          {"max_position_embeddings", config.max_positions},
          {"type_vocab_size", config.type_vocabulary_size},
          {"layer_norm_eps", config.layer_norm_epsilon},
          {"hidden_act", config.activation},
          {"hidden_dropout_prob", config.hidden_dropout},
          {"attention_probs_dropout_prob", config.attention_dropout},
          {"initializer_range", 0.02},
          {"pad_token_id", 0},
          {"position_embedding_type", "absolute"},
          {"torch_dtype", "float32"}};
}

// "BertForMaskedLM" → "BertModel": the export has no head.
std::string WithoutHead(const std::string& architecture) {
  const size_t head = architecture.find("For");
  return head == std::string::npos ? architecture : architecture.substr(0, head) + "Model";
}

// The original config.json with what training decides: the type of the weights, dropout, and no head.
Json ConfigJson(const EncoderConfig& config) {
  Json json = Json::parse(config.config_json, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return PresetConfigJson(config);
  for (const auto& [key, value] : json.items()) {
    const bool hidden = key == "hidden_dropout_prob" || key == "dropout" || key == "embedding_dropout" || key == "mlp_dropout";
    if (hidden && value.is_number()) value = config.hidden_dropout;
    if ((key == "attention_probs_dropout_prob" || key == "attention_dropout") && value.is_number()) {
      value = config.attention_dropout;
    }
    if (key != "architectures" || !value.is_array()) continue;
    for (Json& name : value) {
      if (name.is_string()) name = WithoutHead(name);
    }
  }
  json.erase("torch_dtype");
  json.erase("dtype");
  json["torch_dtype"] = "float32";  // transformers 5 reads this name, too
  return json;
}

Json Modules(const EncoderConfig& config) {
  Json modules = Json::array();
  const auto add = [&](const std::string& type, const std::string& path) {
    const std::string index = std::to_string(modules.size());
    modules.push_back(
        {{"idx", modules.size()}, {"name", index}, {"path", path}, {"type", "sentence_transformers.models." + type}});
  };
  add("Transformer", "");
  add("Pooling", "1_Pooling");
  for (const DenseModule& dense : config.dense) add("Dense", dense.folder);
  if (config.normalize) add("Normalize", NormalizeFolder(config));
  return modules;
}

// The spelling of sentence-transformers 2, which 6 still reads. The first four switches are as old as the file.
// Versions that do not know a later switch refuse it, so it is written only where it is needed.
Json Pooling(const EncoderConfig& config) {
  const PoolingMode mode = config.pooling;
  Json json = {{"word_embedding_dimension", config.hidden_size},
               {"pooling_mode_cls_token", mode == PoolingMode::kCls},
               {"pooling_mode_mean_tokens", mode == PoolingMode::kMean},
               {"pooling_mode_max_tokens", mode == PoolingMode::kMax},
               {"pooling_mode_mean_sqrt_len_tokens", mode == PoolingMode::kMeanSqrtLength}};
  if (mode == PoolingMode::kWeightedMean) json["pooling_mode_weightedmean_tokens"] = true;
  if (mode == PoolingMode::kLast) json["pooling_mode_lasttoken"] = true;
  if (config.exclude_prompt) json["include_prompt"] = false;
  return json;
}

Json Dense(const DenseModule& dense) {
  return {{"in_features", dense.in},
          {"out_features", dense.out},
          {"bias", dense.bias},
          {"activation_function", DenseActivationClass(dense.activation)}};
}

// sentence-transformers' encode_document looks for "document"; this project says "passage". Prompts with
// other names are copied unchanged.
Json SentenceTransformersConfig(const EncoderConfig& config, const ExportOptions& options) {
  Json prompts = Json::object();
  for (const auto& [name, text] : config.prompts.by_name) prompts[name] = text;
  prompts["query"] = options.query_prompt;
  prompts["document"] = prompts["passage"] = options.passage_prompt;
  if (prompts.contains("corpus")) prompts["corpus"] = options.passage_prompt;
  Json json = {{"__version__", {{"sentence_transformers", "5.0.0"}}},
               {"model_type", "SentenceTransformer"},
               {"prompts", std::move(prompts)},
               {"default_prompt_name", nullptr},
               {"similarity_fn_name", config.normalize ? "cosine" : "dot"}};
  if (!config.prompts.default_name.empty()) json["default_prompt_name"] = config.prompts.default_name;
  return json;
}

}  // namespace

std::string NormalizeFolder(const EncoderConfig& config) {
  return std::to_string(2 + config.dense.size()) + "_Normalize";
}

std::map<std::string, std::string> FolderFiles(const EncoderConfig& config, const ExportOptions& options) {
  std::map<std::string, std::string> files = {
          {"config.json", Pretty(ConfigJson(config))},
          {"modules.json", Pretty(Modules(config))},
          {"1_Pooling/config.json", Pretty(Pooling(config))},
          {"sentence_bert_config.json",
           Pretty({{"max_seq_length", config.max_sequence_length}, {"do_lower_case", false}})},
          {"config_sentence_transformers.json", Pretty(SentenceTransformersConfig(config, options))},
          {"README.md", ModelCardText(config, options)}};
  for (const DenseModule& dense : config.dense) files[dense.folder + "/config.json"] = Pretty(Dense(dense));
  // Stores that keep only files would lose an empty folder.
  if (config.normalize) files[NormalizeFolder(config) + "/config.json"] = "{}\n";
  return files;
}

std::string TokenizerConfig(const EncoderConfig& config) {
  return Pretty({{"tokenizer_class", "BertTokenizer"},
                 {"do_lower_case", config.lower_case},
                 {"do_basic_tokenize", true},
                 {"tokenize_chinese_chars", true},
                 {"strip_accents", nullptr},
                 {"model_max_length", config.max_sequence_length},
                 {"unk_token", "[UNK]"},
                 {"sep_token", "[SEP]"},
                 {"pad_token", "[PAD]"},
                 {"cls_token", "[CLS]"},
                 {"mask_token", "[MASK]"}});
}

std::string SpecialTokensMap() {
  return Pretty({{"unk_token", "[UNK]"},
                 {"sep_token", "[SEP]"},
                 {"pad_token", "[PAD]"},
                 {"cls_token", "[CLS]"},
                 {"mask_token", "[MASK]"}});
}

}  // namespace muster
