#include "common/model/families/post_norm.h"

#include "absl/strings/str_cat.h"
#include "common/view.h"

namespace muster {

std::vector<TensorShape> PostNormTensors(const PostNormNames& names, const EncoderConfig& config) {
  const int64_t hidden = config.hidden_size, wide = config.intermediate_size;
  std::vector<TensorShape> tensors;
  const auto add = [&](absl::string_view name, std::vector<int64_t> shape) {
    tensors.push_back({std::string(name), std::move(shape)});
  };
  add(absl::StrCat(ToAbsl(kWordEmbeddings), ".weight"), {config.vocabulary_size, hidden});
  add(absl::StrCat(ToAbsl(kPositionEmbeddings), ".weight"), {config.max_positions + config.pad_token + 1, hidden});
  if (!names.types.empty()) add(absl::StrCat(ToAbsl(names.types), ".weight"), {config.type_vocabulary_size, hidden});
  add(absl::StrCat(ToAbsl(kEmbeddingNorm), ".weight"), {hidden});
  add(absl::StrCat(ToAbsl(kEmbeddingNorm), ".bias"), {hidden});
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    const auto both = [&](std::string_view name, std::vector<int64_t> shape) {
      const std::string full = absl::StrCat(ToAbsl(names.layer), layer, ".", ToAbsl(name));
      const int64_t out = shape[0];
      add(absl::StrCat(full, ".weight"), std::move(shape));
      add(absl::StrCat(full, ".bias"), {out});
    };
    for (const std::string_view part : {names.query, names.key, names.value, names.attention_output}) {
      both(part, {hidden, hidden});
    }
    both(names.attention_norm, {hidden});
    both(names.intermediate, {wide, hidden});
    both(names.output, {hidden, wide});
    both(names.output_norm, {hidden});
  }
  if (!names.relative_bias.empty()) {
    add(absl::StrCat(ToAbsl(names.relative_bias), ".weight"), {config.relative_buckets, config.heads});
  }
  return tensors;
}

}  // namespace muster
