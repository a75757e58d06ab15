#include "worker/rank/export/folder_files.h"

#include "nlohmann/json.hpp"

namespace muster {
namespace {

using Json = nlohmann::ordered_json;

std::string Pretty(const Json& value) { return value.dump(2) + "\n"; }

Json BertConfig(const EncoderConfig& config) {
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

Json Modules(const EncoderConfig& config) {
  Json modules = Json::array();
  const auto add = [&](const std::string& type, const std::string& path) {
    const std::string index = std::to_string(modules.size());
    modules.push_back(
        {{"idx", modules.size()}, {"name", index}, {"path", path}, {"type", "sentence_transformers.models." + type}});
  };
  add("Transformer", "");
  add("Pooling", "1_Pooling");
  if (config.normalize) add("Normalize", "2_Normalize");
  return modules;
}

Json Pooling(const EncoderConfig& config) {
  return {{"word_embedding_dimension", config.hidden_size},
          {"pooling_mode_cls_token", config.pooling == PoolingMode::kCls},
          {"pooling_mode_mean_tokens", config.pooling == PoolingMode::kMean},
          {"pooling_mode_max_tokens", false},
          {"pooling_mode_mean_sqrt_len_tokens", false},
          {"pooling_mode_weightedmean_tokens", false},
          {"pooling_mode_lasttoken", config.pooling == PoolingMode::kLast},
          {"include_prompt", true}};
}

// "document" is what sentence-transformers' encode_document looks for; "passage" is this project's word.
Json SentenceTransformersConfig(const EncoderConfig& config, const ExportOptions& options) {
  return {{"__version__", {{"sentence_transformers", "5.0.0"}}},
          {"model_type", "SentenceTransformer"},
          {"prompts",
           {{"query", options.query_prompt},
            {"document", options.passage_prompt},
            {"passage", options.passage_prompt}}},
          {"default_prompt_name", nullptr},
          {"similarity_fn_name", config.normalize ? "cosine" : "dot"}};
}

}  // namespace

std::map<std::string, std::string> FolderFiles(const EncoderConfig& config, const ExportOptions& options) {
  return {{"config.json", Pretty(BertConfig(config))},
          {"modules.json", Pretty(Modules(config))},
          {"1_Pooling/config.json", Pretty(Pooling(config))},
          {"sentence_bert_config.json",
           Pretty({{"max_seq_length", config.max_sequence_length}, {"do_lower_case", false}})},
          {"config_sentence_transformers.json", Pretty(SentenceTransformersConfig(config, options))},
          {"README.md", ModelCardText(config, options)}};
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
