#include "common/model/weights.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/files.h"
#include "common/model/families/family.h"
#include "common/model/hf_config.h"
#include "common/model/json_keys.h"
#include "common/small_file.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

using nlohmann::json;

constexpr char kWhole[] = "model.safetensors", kIndex[] = "model.safetensors.index.json";
constexpr uint64_t kMaxIndexBytes = 16 << 20;

// Prefixes added by wrappers around the model when it was saved; they precede the family's own prefix.
constexpr std::string_view kWrappers[] = {"model.", "base_model.", "module.", "auto_model.", "0.auto_model."};
// Names of the output layer that shares its weights with the word embeddings, in files that lack the word embeddings.
constexpr std::string_view kTied[] = {"cls.predictions.decoder.weight", "lm_head.decoder.weight", "lm_head.weight",
                                      "vocab_projector.weight", "generator_lm_head.weight", "decoder.weight"};
// Parts of saved models that no embedding uses.
constexpr std::string_view kHeads[] = {
    "pooler.",     "cls.",        "lm_head.",    "classifier.",       "qa_outputs.", "vocab_transform.",
    "vocab_layer_norm.", "vocab_projector.", "pre_classifier.", "discriminator_predictions.",
    "generator_predictions.", "generator_lm_head.", "head.", "decoder.", "embeddings.position_ids",
    "embeddings.token_type_ids"};

absl::Status Wrong(absl::string_view file, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(file, ": ", what));
}

using Stored = std::map<std::string, StoredTensor, std::less<>>;  // by the name in the file

absl::StatusOr<Stored> TensorsOf(const std::filesystem::path& folder, const std::string& file) {
  ASSIGN_OR_RETURN(std::vector<SafetensorsEntry> entries, ReadSafetensorsHeader(folder / file));
  Stored stored;
  for (SafetensorsEntry& entry : entries) {
    std::string name = entry.name;
    stored[std::move(name)] = {file, std::move(entry)};
  }
  return stored;
}

// tensor → shard
absl::StatusOr<std::map<std::string, std::string>> ReadIndex(const std::filesystem::path& folder) {
  ASSIGN_OR_RETURN(const std::string text, ReadSmallFile(folder / kIndex, kMaxIndexBytes));
  const json index = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    return Wrong(kIndex, "must be a JSON object with a weight_map");
  }
  std::map<std::string, std::string> map;
  for (const auto& [name, shard] : index["weight_map"].items()) {
    if (!shard.is_string() || !IsSafeRelativePath(shard.get<std::string>())) {
      return Wrong(kIndex, absl::StrCat("weight_map: the shard of ", SomeNames({name}), " must be a file of the folder"));
    }
    map[name] = shard;
  }
  return map;
}

void NoteUnlistedShards(const std::filesystem::path& folder, const std::map<std::string, Stored>& listed,
                        std::vector<std::string>& notes) {
  std::vector<std::string> unlisted;
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = file.path().filename().string();
    if (absl::EndsWith(name, ".safetensors") && !listed.contains(name)) unlisted.push_back(name);
  }
  std::sort(unlisted.begin(), unlisted.end());
  if (!unlisted.empty()) notes.push_back(absl::StrCat(kIndex, " does not list ", SomeNames(unlisted), ": not used."));
}

absl::StatusOr<Stored> FollowIndex(const std::filesystem::path& folder, std::vector<std::string>& notes) {
  ASSIGN_OR_RETURN(const auto index, ReadIndex(folder));
  std::map<std::string, Stored> shards;  // separate, because a shard copied over another also holds the other's tensors
  Stored stored;
  for (const auto& [name, shard] : index) {
    std::error_code error;
    if (!std::filesystem::exists(folder / shard, error)) {
      return Wrong(SomeNames({shard}), absl::StrCat("is missing, and ", kIndex, " says that it has ", SomeNames({name}),
                                       ". Copy the whole folder again."));
    }
    if (shards.contains(shard)) continue;
    ASSIGN_OR_RETURN(shards[shard], TensorsOf(folder, shard));
  }
  for (const auto& [name, shard] : index) {
    const Stored& in_shard = shards[shard];
    const auto found = in_shard.find(name);
    if (found == in_shard.end()) {
      return Wrong(SomeNames({shard}), absl::StrCat("tensor ", SomeNames({name}), " is missing, and ", kIndex, " lists it there. Copy the "
                                       "whole folder again."));
    }
    stored.emplace(name, found->second);
  }
  NoteUnlistedShards(folder, shards, notes);
  return stored;
}

absl::StatusOr<Stored> ReadStored(const std::filesystem::path& folder, std::string& source,
                                  std::vector<std::string>& notes) {
  std::error_code error;
  source = kWhole;
  if (!std::filesystem::exists(folder / kWhole, error) && std::filesystem::exists(folder / kIndex, error)) {
    source = kIndex;
    return FollowIndex(folder, notes);
  }
  return TensorsOf(folder, kWhole);
}

// The name, or the one that norms have in files from TensorFlow: LayerNorm.gamma and LayerNorm.beta.
const StoredTensor* Find(const Stored& stored, const std::string& name) {
  auto found = stored.find(name);
  if (found == stored.end() && (IsNormWeight(name) || IsNormBias(name))) {
    found = stored.find(name.substr(0, name.rfind('.')) + (IsNormBias(name) ? ".beta" : ".gamma"));
  }
  return found == stored.end() ? nullptr : &found->second;
}

// The prefix under which most tensors are found.
std::string ChoosePrefix(const Stored& stored, const std::vector<TensorShape>& tensors, std::string_view of_family) {
  std::vector<std::string> prefixes = {"", std::string(of_family)};
  for (const std::string_view wrapper : kWrappers) {
    prefixes.emplace_back(wrapper);
    prefixes.push_back(absl::StrCat(ToAbsl(wrapper), ToAbsl(of_family)));
  }
  std::string best;
  int64_t most = -1;
  for (const std::string& prefix : prefixes) {
    const int64_t found = std::count_if(tensors.begin(), tensors.end(), [&](const TensorShape& tensor) {
      return Find(stored, prefix + tensor.name) != nullptr;
    });
    if (found <= most) continue;
    most = found;
    best = prefix;
  }
  return best;
}

bool IsWordEmbedding(absl::string_view name) {
  return absl::EndsWith(name, "word_embeddings.weight") || absl::EndsWith(name, "tok_embeddings.weight") ||
         absl::EndsWith(name, "embed_tokens.weight");
}

const StoredTensor* FindTied(const Stored& stored, const TensorShape& tensor) {
  if (!IsWordEmbedding(tensor.name)) return nullptr;
  for (const std::string_view name : kTied) {
    const auto found = stored.find(name);
    if (found != stored.end() && found->second.entry.shape == tensor.shape) return &found->second;
  }
  return nullptr;
}

absl::Status CheckEntry(const StoredTensor& stored, const TensorShape& tensor, absl::string_view config_file) {
  if (stored.entry.shape != tensor.shape) {
    return Wrong(stored.file, absl::StrCat(SomeNames({stored.entry.name}), " has shape ", ShapeText(stored.entry.shape), ", ",
                                           config_file, " needs ", ShapeText(tensor.shape), "."));
  }
  if (IsFloatType(stored.entry.dtype)) return absl::OkStatus();
  return Wrong(stored.file, absl::StrCat(stored.entry.name, " is ", stored.entry.dtype,
                                         ". It must be F32, F16, BF16 or F64."));
}

void NoteUnused(const Stored& stored, const std::set<std::string>& used, const std::string& prefix,
                std::vector<std::string>& notes) {
  std::vector<std::string> heads, others;
  for (const auto& [name, tensor] : stored) {
    if (used.contains(name)) continue;
    const absl::string_view bare = absl::StripPrefix(name, prefix);
    const bool head = std::any_of(std::begin(kHeads), std::end(kHeads), [&](std::string_view start) {
      return absl::StartsWith(bare, ToAbsl(start)) || absl::StartsWith(name, ToAbsl(start));
    });
    (head ? heads : others).push_back(name);
  }
  if (!heads.empty()) {
    notes.push_back(absl::StrCat("weights: ", SomeNames(heads), heads.size() == 1 ? " is" : " are",
                                 " not used: no embedding needs pooler, heads or position ids."));
  }
  if (!others.empty()) {
    notes.push_back(absl::StrCat("weights: ", SomeNames(others), others.size() == 1 ? " is" : " are",
                                 " not used: config.json describes no such tensor. transformers leaves it out, too."));
  }
}

// sentence-transformers names the tensors of a Dense module without its folder.
absl::Status FindDense(const std::filesystem::path& folder, const DenseModule& dense, ModelWeights& weights) {
  const std::string file = absl::StrCat(dense.folder, "/", kWhole);
  std::error_code error;
  if (!std::filesystem::exists(folder / file, error)) {
    return Wrong(file, "is missing. Load the model with sentence-transformers and save it again: it writes this file.");
  }
  ASSIGN_OR_RETURN(const Stored stored, TensorsOf(folder, file));
  for (const TensorShape& tensor : DenseTensors(dense)) {
    const auto found = stored.find(tensor.name.substr(dense.folder.size() + 1));
    if (found == stored.end()) {
      return Wrong(file, absl::StrCat(tensor.name, " ", ShapeText(tensor.shape), " is missing."));
    }
    RETURN_IF_ERROR(CheckEntry(found->second, tensor, absl::StrCat(dense.folder, "/config.json")));
    weights.tensors.push_back(found->second);
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<TensorShape> ModelTensors(const EncoderConfig& config) {
  std::vector<TensorShape> tensors = EncoderTensors(config);
  for (const DenseModule& dense : config.dense) {
    for (TensorShape& tensor : DenseTensors(dense)) tensors.push_back(std::move(tensor));
  }
  return tensors;
}

absl::StatusOr<ModelWeights> FindWeights(const std::filesystem::path& folder, const EncoderConfig& config) {
  ModelWeights weights;
  std::string source;
  ASSIGN_OR_RETURN(const Stored stored, ReadStored(folder, source, weights.notes));
  const std::vector<TensorShape> tensors = EncoderTensors(config);
  const std::string prefix = ChoosePrefix(stored, tensors, FamilyOf(config).prefix);
  std::set<std::string> used;
  for (const TensorShape& tensor : tensors) {
    const StoredTensor* found = Find(stored, prefix + tensor.name);
    if (found == nullptr) found = FindTied(stored, tensor);
    if (found == nullptr) {
      return Wrong(source, absl::StrCat(prefix, tensor.name, " ", ShapeText(tensor.shape),
                                        " is missing. The weights must be those of config.json."));
    }
    RETURN_IF_ERROR(CheckEntry(*found, tensor, "config.json"));
    used.insert(found->entry.name);
    weights.tensors.push_back(*found);
  }
  NoteUnused(stored, used, prefix, weights.notes);
  for (const DenseModule& dense : config.dense) RETURN_IF_ERROR(FindDense(folder, dense, weights));
  return weights;
}

}  // namespace muster
