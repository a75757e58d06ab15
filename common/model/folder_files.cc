#include "common/model/folder_files.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/view.h"

namespace muster {
namespace {

constexpr std::string_view kTokenizers[] = {"tokenizer.json", "vocab.txt", "sentencepiece.bpe.model", "spiece.model",
                                            "tokenizer.model"};
// A model that transformers keeps in another format, and how transformers 5 writes it as safetensors.
constexpr std::string_view kPickled[] = {"pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5",
                                         "flax_model.msgpack"};

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

// The model's, its shards, and those of a module's folder; not those of a trainer's checkpoints and of variants.
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

bool IsTokenizerFile(std::string_view name) {
  constexpr std::string_view kOthers[] = {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
                                          "vocab.json", "merges.txt", "bpe.codes", "chat_template.jinja"};
  const auto is = [&](std::string_view known) { return known == name; };
  return std::any_of(std::begin(kTokenizers), std::end(kTokenizers), is) ||
         std::any_of(std::begin(kOthers), std::end(kOthers), is);
}

absl::Status CheckModelPaths(std::span<const std::string> paths) {
  if (Has(paths, "adapter_config.json")) {
    return absl::InvalidArgumentError(
        "adapter_config.json: the folder holds an adapter and not a whole model. Merge it first, in Python:\n"
        "  from peft import AutoPeftModelForFeatureExtraction\n"
        "  model = AutoPeftModelForFeatureExtraction.from_pretrained(\"FOLDER\").merge_and_unload()\n"
        "  model.save_pretrained(\"NEW_FOLDER\")\n"
        "and copy the tokenizer's files beside it.");
  }
  const bool has_weights = Has(paths, "model.safetensors") || Has(paths, "model.safetensors.index.json");
  const bool has_tokenizer = std::any_of(std::begin(kTokenizers), std::end(kTokenizers),
                                         [&](std::string_view file) { return Has(paths, file); });
  if (!Has(paths, "config.json")) {
    if (has_weights || !has_tokenizer) {
      return Missing("config.json", paths, "Push a Hugging Face folder, or a tokenizer (tokenizer.json or vocab.txt) alone.");
    }
    return absl::OkStatus();
  }
  if (!has_weights) return MissingWeights(paths);
  if (has_tokenizer) return absl::OkStatus();
  return Missing("tokenizer.json", paths,
                 "Save the tokenizer into the folder: AutoTokenizer.from_pretrained(NAME).save_pretrained(\"FOLDER\").");
}

}  // namespace muster
