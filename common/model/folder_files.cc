#include "common/model/folder_files.h"

#include <algorithm>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/view.h"

namespace muster {
namespace {

// How Muster uses a tokenizer's file.
enum class TokenizerRole {
  kSource,  // a tokenizer by itself
  kBeside,  // read in addition to a source
  kUnread,  // a complete tokenizer for other tools; stays in the folder for them
  kOther,  // stays in the folder for other tools
};
struct TokenizerFile {
  std::string_view name;
  TokenizerRole role;
};
constexpr TokenizerFile kTokenizerFiles[] = {
    {"tokenizer.json", TokenizerRole::kSource},         {"vocab.txt", TokenizerRole::kSource},
    {"sentencepiece.bpe.model", TokenizerRole::kSource}, {"tokenizer_config.json", TokenizerRole::kBeside},
    {"special_tokens_map.json", TokenizerRole::kBeside}, {"added_tokens.json", TokenizerRole::kBeside},
    {"spiece.model", TokenizerRole::kUnread},           {"tokenizer.model", TokenizerRole::kUnread},
    {"vocab.json", TokenizerRole::kOther},              {"merges.txt", TokenizerRole::kOther},
    {"bpe.codes", TokenizerRole::kOther},               {"chat_template.jinja", TokenizerRole::kOther},
};
// Configuration files that Muster reads, or that change no embedding.
constexpr std::string_view kConfigFiles[] = {
    "config.json", "config_sentence_transformers.json", "tokenizer_config.json",
    "sentence_bert_config.json", "sentence_roberta_config.json", "sentence_distilbert_config.json",
    "sentence_camembert_config.json", "sentence_albert_config.json", "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
    "generation_config.json",    // only for text generation
    "preprocessor_config.json",  // images and sound
    "processor_config.json",
    "image_processor_config.json",
    "video_preprocessor_config.json",
    "data_config.json",          // what sentence-transformers' own models were trained on
    "adapter_config.json",       // refused by CheckModelPaths
};
// A model that transformers keeps in another format, and how transformers 5 writes it as safetensors.
constexpr std::string_view kPickled[] = {"pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5",
                                         "flax_model.msgpack"};

std::optional<TokenizerRole> RoleOf(std::string_view name) {
  const auto* file = std::ranges::find(kTokenizerFiles, name, &TokenizerFile::name);
  return file == std::end(kTokenizerFiles) ? std::nullopt : std::optional(file->role);
}

bool Has(std::span<const std::string> paths, std::string_view path) {
  return std::find(paths.begin(), paths.end(), path) != paths.end();
}

std::string Shown(std::span<const std::string> paths) {
  constexpr size_t kShown = 10;
  if (paths.empty()) return "no file";
  const auto first = paths.first(std::min(kShown, paths.size()));
  return absl::StrCat(absl::StrJoin(first.begin(), first.end(), ", "), paths.size() > kShown ? ", …" : "");
}

absl::Status Missing(absl::string_view file, std::span<const std::string> paths, absl::string_view remedy) {
  return absl::InvalidArgumentError(
      absl::StrCat(file, " is missing, the folder has ", Shown(paths), ". ", remedy));
}

absl::Status MissingWeights(std::span<const std::string> paths) {
  for (const std::string_view file : kPickled) {
    if (!Has(paths, file)) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "model.safetensors is missing. ", ToAbsl(file), " is not read. Save the weights again, in Python:\n"
        "  from transformers import AutoModel\n"
        "  model = AutoModel.from_pretrained(\"FOLDER\")\n"
        "  model.save_pretrained(\"FOLDER\")"));
  }
  return Missing("model.safetensors", paths, "Save the model with safetensors.");
}

// Weights of the model, its shards, and modules' folders; not of a trainer's checkpoints or of variants.
bool IsWeights(absl::string_view name) {
  if (!absl::EndsWith(name, ".safetensors") || absl::StartsWith(name, "checkpoint-")) return false;
  return name == "model.safetensors" || absl::StrContains(name, "-of-") || absl::EndsWith(name, "/model.safetensors");
}

}  // namespace

bool IsModelFile(std::string_view path) {
  const absl::string_view name = ToAbsl(path);
  if (absl::StartsWith(name, "onnx/") || absl::StartsWith(name, "openvino/")) return false;
  if (name == "README.md") return true;
  return absl::EndsWith(name, ".json") || absl::EndsWith(name, ".txt") || absl::EndsWith(name, ".model") ||
         name == "chat_template.jinja" || IsWeights(name);
}

bool IsTokenizerFile(std::string_view name) { return RoleOf(name).has_value(); }

bool DecidesTokenIds(std::string_view name) {
  if (name == "config.json") return true;  // names the tokenizer's class, directly or by the model's type
  return RoleOf(name) == TokenizerRole::kSource || RoleOf(name) == TokenizerRole::kBeside;
}

bool IsTokenizerSource(std::string_view name) { return RoleOf(name) == TokenizerRole::kSource; }

std::vector<std::string> UnknownConfigFiles(const std::filesystem::path& folder) {
  std::vector<std::string> unknown;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    const bool config = absl::EndsWith(name, "config.json") ||
                        (absl::StartsWith(name, "config") && absl::EndsWith(name, ".json"));
    const bool known = std::ranges::find(kConfigFiles, std::string_view(name)) != std::end(kConfigFiles);
    if (config && !known) unknown.push_back(name);
  }
  std::ranges::sort(unknown);
  return unknown;
}

absl::Status CheckModelPaths(std::span<const std::string> paths) {
  if (Has(paths, "adapter_config.json")) {
    return absl::InvalidArgumentError(
        "adapter_config.json: the folder holds an adapter and not a whole model. Merge it first, in Python:\n"
        "  from peft import AutoPeftModelForFeatureExtraction\n"
        "  model = AutoPeftModelForFeatureExtraction.from_pretrained(\"FOLDER\").merge_and_unload()\n"
        "  model.save_pretrained(\"NEW_FOLDER\")\n"
        "and copy the tokenizer's files next to it.");
  }
  const bool has_weights = Has(paths, "model.safetensors") || Has(paths, "model.safetensors.index.json");
  const bool has_tokenizer = std::ranges::any_of(paths, [](const std::string& path) {
    return RoleOf(path) == TokenizerRole::kSource || RoleOf(path) == TokenizerRole::kUnread;
  });
  if (!Has(paths, "config.json")) {
    if (has_weights || !has_tokenizer) {
      return Missing("config.json", paths, "Push a Hugging Face folder, or only a tokenizer (tokenizer.json or vocab.txt).");
    }
    return absl::OkStatus();
  }
  if (!has_weights) return MissingWeights(paths);
  if (has_tokenizer) return absl::OkStatus();
  return Missing("tokenizer.json", paths,
                 "Save the tokenizer into the folder: AutoTokenizer.from_pretrained(NAME).save_pretrained(\"FOLDER\").");
}

}  // namespace muster
