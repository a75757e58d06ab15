#include "common/model/parts.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/model/families/family.h"
#include "common/model/weights.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

constexpr absl::string_view kLayersPrefix = "layers.";

bool ParseIndex(absl::string_view text, int64_t& index) {
  return !text.empty() && text.find_first_not_of("0123456789") == absl::string_view::npos && absl::SimpleAtoi(text, &index);
}

bool HasTensor(const ModelPart& part, int64_t depth, int64_t layers) {
  switch (part.kind) {
    case PartKind::kEmbeddings: return depth == 0;
    case PartKind::kHead: return depth == layers + 1;
    case PartKind::kLayers: break;
  }
  const int64_t last = part.last < 0 ? layers - 1 : part.last;
  return depth >= part.first + 1 && depth <= last + 1;
}

// The number after ".layer." or "layers.", as in encoder.layer.3.output and layers.3.mlp; -1 if there is none.
int64_t LayerOf(absl::string_view name) {
  for (const absl::string_view word : {absl::string_view("layer."), kLayersPrefix}) {
    const size_t found = name.find(word);
    if (found == absl::string_view::npos) continue;
    const absl::string_view rest = name.substr(found + word.size());
    int64_t layer = 0;
    if (ParseIndex(rest.substr(0, rest.find('.')), layer)) return layer;
  }
  return -1;
}

}  // namespace

absl::StatusOr<ModelPart> ParsePart(std::string_view text) {
  const absl::string_view name = ToAbsl(text);
  if (name == "embeddings") return ModelPart{.kind = PartKind::kEmbeddings};
  if (name == "head") return ModelPart{.kind = PartKind::kHead};
  if (name == "layers") return ModelPart();
  ModelPart part;
  std::vector<absl::string_view> ends;
  if (absl::StartsWith(name, kLayersPrefix)) ends = absl::StrSplit(name.substr(kLayersPrefix.size()), '-');
  const bool read = (ends.size() == 1 || ends.size() == 2) && ParseIndex(ends.front(), part.first) &&
                    ParseIndex(ends.back(), part.last) && part.first <= part.last;
  if (read) return part;
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", name, "\" is not a part of a model. Allowed: embeddings, layers, layers.3, layers.0-5, head."));
}

int64_t DepthOfTensor(std::string_view name, int64_t layers) {
  const absl::string_view tensor = ToAbsl(name);
  if (const int64_t layer = LayerOf(tensor); layer >= 0) return layer + 1;
  const bool table = absl::StartsWith(tensor, "embed") || absl::StrContains(tensor, "relative_attention_bias");
  return table ? 0 : layers + 1;
}

bool IsFrozen(const EncoderConfig& config, std::string_view tensor) {
  const int64_t depth = DepthOfTensor(tensor, config.layers);
  return std::ranges::any_of(config.frozen, [&](const std::string& name) {
    const absl::StatusOr<ModelPart> part = ParsePart(name);
    return part.ok() && HasTensor(*part, depth, config.layers);
  });
}

absl::Status CheckFrozen(const EncoderConfig& config) {
  if (config.frozen.empty()) return absl::OkStatus();
  const std::vector<TensorShape> tensors = ModelTensors(config);
  for (const std::string& name : config.frozen) {
    const absl::StatusOr<ModelPart> part = ParsePart(name);
    if (!part.ok()) return WithContext(part.status(), "model.freeze");
    if (part->kind == PartKind::kLayers && part->last >= config.layers) {
      return absl::InvalidArgumentError(absl::StrCat("model.freeze: ", name, ": the model has ", config.layers,
                                                     " layers, from layers.0 to layers.", config.layers - 1, "."));
    }
    if (part->kind == PartKind::kHead && !HasHead(config)) {
      return absl::InvalidArgumentError("model.freeze: head: the model has nothing after its layers. Leave it out.");
    }
  }
  const auto trained = [&](const TensorShape& tensor) { return !IsFrozen(config, tensor.name); };
  // Only layers have adapters.
  bool any = std::ranges::any_of(tensors, trained);
  if (config.lora.rank > 0) {
    const auto targets = LoraTargets(config, config.lora.targets);
    if (!targets.ok()) return targets.status();
    any = std::ranges::any_of(*targets, trained);
  }
  if (any) return absl::OkStatus();
  return absl::InvalidArgumentError("model.freeze: leaves nothing to train. Name fewer parts.");
}

bool HasHead(const EncoderConfig& config) {
  return std::ranges::any_of(ModelTensors(config), [&](const TensorShape& tensor) {
    return DepthOfTensor(tensor.name, config.layers) == config.layers + 1;
  });
}

}  // namespace muster
