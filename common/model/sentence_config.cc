#include "common/model/sentence_config.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/model/harmless_keys.h"
#include "common/model/json_keys.h"
#include "common/small_file.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

using nlohmann::json;

constexpr int64_t kLeastLength = 3;              // [CLS], one token, [SEP]
constexpr size_t kMaxPromptBytes = 16 << 10;  // it becomes part of every job
constexpr uint64_t kMaxTokenizerBytes = 64 << 20;
// transformers writes 1e30 where a tokenizer has no length.
constexpr double kNoLength = 1e9;

// In the order in which sentence-transformers looks for them.
constexpr const char* kSentenceFiles[] = {
    "sentence_bert_config.json",   "sentence_roberta_config.json",     "sentence_distilbert_config.json",
    "sentence_camembert_config.json", "sentence_albert_config.json", "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json"};

void NoteUnknown(const Keys& keys, const std::vector<std::string>& unknown, EncoderConfig& config) {
  if (unknown.empty()) return;
  config.notes.push_back(absl::StrCat(keys.name(), ": ", unknown.size() == 1 ? "key " : "keys ",
                                      SomeNames(unknown), unknown.size() == 1 ? " is" : " are",
                                      " not known and not used."));
}

// Options for constructing the model or tokenizer, in hand-made folders.
absl::Status CheckArguments(const Keys& keys) {
  constexpr HarmlessKey kHarmless[] = {{"add_pooling_layer", "a head that no embedding uses"},
                                       {"attn_implementation", "the same function, computed another way"},
                                       {"dtype", "Muster reads every floating type into float32"},
                                       {"torch_dtype", "Muster reads every floating type into float32"},
                                       {"trust_remote_code", "Muster runs no code of a folder"},
                                       {"use_fast", "the same function, computed another way"},
                                       {"use_safetensors", "where weights are read from"}};
  for (const char* key : {"model_args", "model_kwargs", "tokenizer_args", "processor_kwargs", "config_args",
                          "config_kwargs"}) {
    const json* arguments = keys.Find(key);
    if (arguments == nullptr) continue;
    if (!arguments->is_object()) return keys.Wrong(absl::StrCat(key, ": must be an object"));
    RETURN_IF_ERROR(Keys(absl::StrCat(keys.name(), ": ", key), *arguments).RefuseUnknown(kHarmless));
  }
  return absl::OkStatus();
}

// Since 5.4: which of the transformer's outputs are used. Only text as the input and the last hidden state as the output are
// supported.
absl::Status CheckModality(const Keys& keys) {
  std::string task = "feature-extraction", output = "token_embeddings";
  RETURN_IF_ERROR(keys.Text("transformer_task", task));
  RETURN_IF_ERROR(keys.Supported("transformer_task", task, {"feature-extraction"}));
  RETURN_IF_ERROR(keys.Text("module_output_name", output));
  RETURN_IF_ERROR(keys.Supported("module_output_name", output, {"token_embeddings"}));
  const json* modalities = keys.Find("modality_config");
  if (modalities == nullptr) return absl::OkStatus();
  const json expected = {{"text", {{"method", "forward"}, {"method_output_name", "last_hidden_state"}}}};
  if (*modalities == expected) return absl::OkStatus();
  return keys.Wrong("modality_config: only text with method \"forward\" and method_output_name \"last_hidden_state\" is "
                    "supported. Remove the other modalities.");
}

// Whether the tokenizer lower-cases by itself, as far as its files say.
absl::StatusOr<bool> LowersLetters(const std::filesystem::path& folder, const EncoderConfig& config) {
  std::error_code error;
  if (!std::filesystem::exists(folder / "tokenizer.json", error)) return config.lower_case;
  ASSIGN_OR_RETURN(const std::string text, ReadSmallFile(folder / "tokenizer.json", kMaxTokenizerBytes));
  const json tokenizer = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!tokenizer.is_object() || !tokenizer.contains("normalizer")) return false;
  const auto lowers = [](const json& normalizer) {
    if (!normalizer.is_object() || !normalizer.contains("type")) return false;
    return normalizer["type"] == "Lowercase" ||
           (normalizer["type"] == "BertNormalizer" && normalizer.contains("lowercase") && normalizer["lowercase"] == true);
  };
  const json& normalizer = tokenizer["normalizer"];
  if (normalizer.is_object() && normalizer.contains("normalizers") && normalizer["normalizers"].is_array()) {
    return std::any_of(normalizer["normalizers"].begin(), normalizer["normalizers"].end(), lowers);
  }
  return lowers(normalizer);
}

absl::StatusOr<std::optional<int64_t>> SentenceLength(const std::filesystem::path& folder, EncoderConfig& config) {
  std::error_code error;
  const auto* file = std::find_if(std::begin(kSentenceFiles), std::end(kSentenceFiles), [&](const char* name) {
    return std::filesystem::exists(folder / name, error);
  });
  if (file == std::end(kSentenceFiles)) return std::nullopt;
  ASSIGN_OR_RETURN(const Keys keys, Keys::Read(folder, *file));
  std::optional<int64_t> length;
  if (keys.Has("max_seq_length")) RETURN_IF_ERROR(keys.Size("max_seq_length", length.emplace(0), kLeastLength));
  bool lower_case = false;
  RETURN_IF_ERROR(keys.Boolean("do_lower_case", lower_case));
  if (lower_case) {
    ASSIGN_OR_RETURN(const bool lowers, LowersLetters(folder, config));
    if (!lowers) {
      return keys.Wrong("do_lower_case: true is not supported with a tokenizer that keeps capital letters. Let the "
                        "tokenizer lower them, or set it to false.");
    }
  }
  RETURN_IF_ERROR(CheckModality(keys));
  RETURN_IF_ERROR(CheckArguments(keys));
  RETURN_IF_ERROR(keys.RefuseUnknown(HarmlessSentenceKeys()));
  return length;
}

absl::StatusOr<std::optional<int64_t>> TokenizerLength(const std::filesystem::path& folder, EncoderConfig& config) {
  ASSIGN_OR_RETURN(const Keys keys, Keys::ReadOptional(folder, "tokenizer_config.json"));
  RETURN_IF_ERROR(keys.Boolean("do_lower_case", config.lower_case));
  std::string side = "right";
  RETURN_IF_ERROR(keys.Text("truncation_side", side));
  RETURN_IF_ERROR(keys.Supported("truncation_side", side, {"right"}));
  std::optional<int64_t> length;
  for (const char* key : {"model_max_length", "max_len"}) {
    double number = 2 * kNoLength;
    RETURN_IF_ERROR(keys.Number(key, number));
    if (number > kNoLength || length.has_value()) continue;
    if (number < kLeastLength || number != std::floor(number)) {
      return keys.Wrong(absl::StrCat(key, ": ", number, " is not a length of at least ", kLeastLength, " tokens"));
    }
    length = static_cast<int64_t>(number);
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> unknown, keys.UnknownKeys(HarmlessTokenizerKeys()));
  NoteUnknown(keys, unknown, config);
  return length;
}

absl::Status ReadSimilarity(const Keys& keys, EncoderConfig& config) {
  std::string similarity;
  RETURN_IF_ERROR(keys.Text("similarity_fn_name", similarity));
  if (similarity.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(keys.Supported("similarity_fn_name", similarity, {"cosine", "dot", "euclidean"}));
  if (similarity == "euclidean" && !config.normalize) {
    return keys.Wrong("similarity_fn_name: \"euclidean\" is not supported for embeddings that are not normalized: Muster "
                      "scores by inner products. Add a Normalize module, or set it to dot.");
  }
  if (similarity == "cosine" && !config.normalize) {
    config.notes.push_back(absl::StrCat(keys.name(), ": similarity_fn_name is cosine, and no module normalizes the "
                                        "embeddings. Muster scores by inner products. Set model.normalize of the job to "
                                        "true for cosines."));
  }
  return absl::OkStatus();
}

// The first prompt among the names that exists; null if there is none.
const std::string* FirstPrompt(const std::map<std::string, std::string>& prompts,
                               std::initializer_list<const char*> names) {
  const std::string* first = nullptr;
  for (const char* name : names) {
    const auto found = prompts.find(name);
    if (found != prompts.end() && (first == nullptr || first->empty())) first = &found->second;
  }
  return first;
}

// encode_query and encode_document of sentence-transformers look for these names. The default prompt precedes every
// text that does not have another prompt; the query's prompt precedes only queries.
void ChoosePrompts(FolderPrompts& prompts) {
  const std::string* query = FirstPrompt(prompts.by_name, {"query"});
  const std::string* passage = FirstPrompt(prompts.by_name, {"document", "passage", "corpus"});
  const bool common = !prompts.default_name.empty() && prompts.default_name != "query" &&
                      prompts.default_name != "document" && prompts.default_name != "passage";
  const std::string* fallback = common ? &prompts.by_name.at(prompts.default_name) : nullptr;
  if (query == nullptr) query = fallback;
  if (passage == nullptr) passage = fallback;
  if (query != nullptr) prompts.query = *query;
  if (passage != nullptr) prompts.passage = *passage;
}

void NotePrompts(const Keys& keys, EncoderConfig& config) {
  const FolderPrompts& prompts = config.prompts;
  if (!prompts.query.empty() || !prompts.passage.empty()) {
    config.notes.push_back(absl::StrCat(
        keys.name(), ": jobs put ", ShownValue(prompts.query), " before queries and ", ShownValue(prompts.passage),
        " before passages, unless they set model.prompts."));
  }
  std::vector<std::string> others;
  for (const auto& [name, text] : prompts.by_name) {
    if (!text.empty() && text != prompts.query && text != prompts.passage) others.push_back(name);
  }
  if (!others.empty()) {
    config.notes.push_back(absl::StrCat(keys.name(), ": prompts ", SomeNames(others),
                                        " are kept for the export and not used in training."));
  }
}

}  // namespace

absl::Status ReadLengths(const std::filesystem::path& folder, EncoderConfig& config) {
  ASSIGN_OR_RETURN(const std::optional<int64_t> of_tokenizer, TokenizerLength(folder, config));
  ASSIGN_OR_RETURN(const std::optional<int64_t> of_sentences, SentenceLength(folder, config));
  const int64_t length = of_sentences.value_or(of_tokenizer.value_or(config.max_positions));
  config.max_sequence_length = std::min(length, config.max_positions);
  if (length > config.max_positions) {
    config.notes.push_back(absl::StrCat(of_sentences.has_value() ? "max_seq_length " : "model_max_length ", length,
                                        " is more than the model's ", config.max_positions, " positions, which are the limit."));
  }
  return absl::OkStatus();
}

absl::Status ReadPrompts(const std::filesystem::path& folder, EncoderConfig& config) {
  ASSIGN_OR_RETURN(const Keys keys, Keys::ReadOptional(folder, "config_sentence_transformers.json"));
  std::string type = "SentenceTransformer";
  RETURN_IF_ERROR(keys.Text("model_type", type));
  RETURN_IF_ERROR(keys.Supported("model_type", type, {"SentenceTransformer"}));
  if (const json* prompts = keys.Find("prompts"); prompts != nullptr) {
    if (!prompts->is_object()) return keys.Wrong("prompts: must be an object");
    const Keys texts(keys.name() + ": prompts", *prompts);
    for (const auto& [name, value] : prompts->items()) {
      std::string& text = config.prompts.by_name[name];
      RETURN_IF_ERROR(texts.Text(name, text));
      if (text.size() <= kMaxPromptBytes) continue;
      return texts.Wrong(absl::StrCat(SomeNames({name}), ": has ", text.size(), " bytes, at most ", kMaxPromptBytes,
                                      " are taken. Shorten it."));
    }
  }
  RETURN_IF_ERROR(keys.Text("default_prompt_name", config.prompts.default_name));
  if (!config.prompts.default_name.empty() && !config.prompts.by_name.contains(config.prompts.default_name)) {
    return keys.Wrong(absl::StrCat("default_prompt_name: ", ShownValue(config.prompts.default_name),
                                   " is not among the prompts. Add it, or set it to null."));
  }
  ChoosePrompts(config.prompts);
  NotePrompts(keys, config);
  RETURN_IF_ERROR(ReadSimilarity(keys, config));
  ASSIGN_OR_RETURN(const std::vector<std::string> unknown, keys.UnknownKeys(HarmlessPromptFileKeys()));
  NoteUnknown(keys, unknown, config);
  return absl::OkStatus();
}

}  // namespace muster
