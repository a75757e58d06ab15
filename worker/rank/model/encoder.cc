#include "worker/rank/model/encoder.h"

#include <ATen/core/grad_mode.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>

#include <numeric>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "common/status.h"
#include "worker/rank/model/attention.h"
#include "worker/rank/model/dropout.h"
#include "worker/rank/model/encoder_weights.h"
#include "worker/rank/model/sequence_plan.h"

namespace muster {
namespace {

struct Affine {
  at::Tensor weight, bias;
  at::Tensor Linear(const at::Tensor& x) const { return at::linear(x, weight, bias); }
  at::Tensor LayerNorm(const at::Tensor& x, double epsilon) const {
    return at::layer_norm(x, {x.size(-1)}, weight, bias, epsilon);
  }
};

struct Layer {
  Affine query, key, value, attention_output, attention_norm, intermediate, output, output_norm;
};

// Row of each token within its sequence, int64 [T].
at::Tensor Positions(const SequencePlan& plan) {
  at::Tensor positions = at::empty({plan.rows}, at::kLong);
  int64_t* out = positions.mutable_data_ptr<int64_t>();
  for (const int64_t length : plan.lengths) {
    std::iota(out, out + length, int64_t{0});
    out += length;
  }
  return positions;
}

// The first (or last) row of each sequence.
at::Tensor PickRows(const at::Tensor& hidden, const SequencePlan& plan, bool last) {
  const int64_t sequences = static_cast<int64_t>(plan.lengths.size());
  at::Tensor rows = at::empty({sequences}, at::kLong);
  int64_t* out = rows.mutable_data_ptr<int64_t>();
  for (int64_t s = 0; s < sequences; ++s) out[s] = plan.first_rows[s] + (last ? plan.lengths[s] - 1 : 0);
  return hidden.index_select(0, rows);
}

at::Tensor MeanRows(const at::Tensor& hidden, const SequencePlan& plan) {
  std::vector<int64_t> sizes;
  for (const Run& run : plan.runs) sizes.push_back(run.count * run.length);
  std::vector<at::Tensor> means = hidden.split_with_sizes(sizes, 0);
  for (size_t i = 0; i < means.size(); ++i) {
    means[i] = means[i].view({plan.runs[i].count, plan.runs[i].length, hidden.size(1)}).mean(1);
  }
  return at::cat(means, 0);
}

at::Tensor Pool(const at::Tensor& hidden, const SequencePlan& plan, PoolingMode mode) {
  switch (mode) {
    case PoolingMode::kCls:
      return PickRows(hidden, plan, /*last=*/false);
    case PoolingMode::kLast:
      return PickRows(hidden, plan, /*last=*/true);
    case PoolingMode::kMean:
      return MeanRows(hidden, plan);
  }
  TORCH_CHECK(false, "pooling mode ", static_cast<int>(mode), " is not one of PoolingMode");
}

// As torch.nn.functional.normalize: x / max(|x|, 1e-12).
at::Tensor NormalizeRows(const at::Tensor& x) { return x / x.norm(2, {1}, /*keepdim=*/true).clamp_min(1e-12); }

}  // namespace

struct Encoder::Impl {
  EncoderConfig config;
  std::vector<Parameter> parameters;
  at::Tensor word_embeddings, position_embeddings, type_embeddings;
  Affine embedding_norm;
  std::vector<Layer> layers;

  Impl(EncoderConfig encoder_config, std::vector<Parameter> tensors);

  at::Tensor Embed(const at::Tensor& tokens, const Dropout& dropout, const SequencePlanPtr& plan) const;
  at::Tensor RunLayer(int64_t index, const at::Tensor& x, const Dropout& dropout, const SequencePlanPtr& plan) const;
};

Encoder::Impl::Impl(EncoderConfig encoder_config, std::vector<Parameter> tensors)
    : config(std::move(encoder_config)), parameters(std::move(tensors)) {
  absl::flat_hash_map<std::string, at::Tensor> by_name;
  for (const Parameter& parameter : parameters) by_name[parameter.name] = parameter.value;
  const auto affine = [&](const std::string& name) {
    return Affine{by_name.at(name + ".weight"), by_name.at(name + ".bias")};
  };
  word_embeddings = by_name.at("embeddings.word_embeddings.weight");
  position_embeddings = by_name.at("embeddings.position_embeddings.weight");
  type_embeddings = by_name.at("embeddings.token_type_embeddings.weight");
  embedding_norm = affine("embeddings.LayerNorm");
  for (int64_t i = 0; i < config.layers; ++i) {
    const std::string layer = "encoder.layer." + std::to_string(i);
    layers.push_back({.query = affine(layer + ".attention.self.query"),
                      .key = affine(layer + ".attention.self.key"),
                      .value = affine(layer + ".attention.self.value"),
                      .attention_output = affine(layer + ".attention.output.dense"),
                      .attention_norm = affine(layer + ".attention.output.LayerNorm"),
                      .intermediate = affine(layer + ".intermediate.dense"),
                      .output = affine(layer + ".output.dense"),
                      .output_norm = affine(layer + ".output.LayerNorm")});
  }
}

at::Tensor Encoder::Impl::Embed(const at::Tensor& tokens, const Dropout& dropout, const SequencePlanPtr& plan) const {
  // Where a dense gradient is there to be added to, the backward sends the few rows that the tokens name; it would
  // otherwise make one of the vocabulary's size for each batch.
  const bool rows_only = word_embeddings.grad().defined();
  const at::Tensor words = at::embedding(word_embeddings, tokens, /*padding_idx=*/-1, /*scale_grad_by_freq=*/false,
                                         /*sparse=*/rows_only);
  const at::Tensor places = at::embedding(position_embeddings, Positions(*plan)) + type_embeddings.select(0, 0);
  const at::Tensor x = embedding_norm.LayerNorm(words + places, config.layer_norm_epsilon);
  return DropoutAdd(x, {}, DropoutRate(dropout.hidden), {0, DropoutSite::kEmbeddings}, plan);
}

at::Tensor Encoder::Impl::RunLayer(int64_t index, const at::Tensor& x, const Dropout& dropout,
                                   const SequencePlanPtr& plan) const {
  const Layer& layer = layers[index];
  const DropoutRate hidden(dropout.hidden), attention(dropout.attention);
  // One product for queries, keys and values: copying their weights side by side costs far less than three products.
  const at::Tensor qkv = at::linear(x, at::cat({layer.query.weight, layer.key.weight, layer.value.weight}),
                                    at::cat({layer.query.bias, layer.key.bias, layer.value.bias}));
  const at::Tensor context = PackedAttention(qkv, config.heads, attention, index, plan);
  const at::Tensor attended = layer.attention_norm.LayerNorm(
      DropoutAdd(layer.attention_output.Linear(context), x, hidden, {index, DropoutSite::kAttentionOutput}, plan),
      config.layer_norm_epsilon);
  const at::Tensor fed = layer.output.Linear(at::gelu(layer.intermediate.Linear(attended)));
  return layer.output_norm.LayerNorm(
      DropoutAdd(fed, attended, hidden, {index, DropoutSite::kFeedForward}, plan), config.layer_norm_epsilon);
}

absl::StatusOr<std::unique_ptr<Encoder>> Encoder::Load(const std::filesystem::path& folder, EncoderConfig config,
                                                       at::ScalarType type) {
  ASSIGN_OR_RETURN(std::vector<Parameter> parameters, LoadParameters(folder, config, type));
  return std::unique_ptr<Encoder>(new Encoder(std::make_unique<Impl>(std::move(config), std::move(parameters))));
}

absl::StatusOr<std::unique_ptr<Encoder>> Encoder::Random(EncoderConfig config, uint64_t seed, at::ScalarType type) {
  if (config.heads <= 0 || config.hidden_size % config.heads != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("hidden size ", config.hidden_size, " is not a multiple of ", config.heads, " heads"));
  }
  std::vector<Parameter> parameters = RandomParameters(config, seed, type);
  return std::unique_ptr<Encoder>(new Encoder(std::make_unique<Impl>(std::move(config), std::move(parameters))));
}

Encoder::Encoder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Encoder::~Encoder() = default;

at::Tensor Encoder::Encode(const PackedBatch& batch, const Dropout& dropout) const {
  const SequencePlanPtr plan = MakeSequencePlan(batch, dropout);
  TORCH_CHECK(plan->rows > 0, "a packed batch without sequences");
  at::Tensor hidden = impl_->Embed(batch.tokens, dropout, plan);
  for (int64_t i = 0; i < impl_->config.layers; ++i) hidden = impl_->RunLayer(i, hidden, dropout, plan);
  const at::Tensor pooled = Pool(hidden, *plan, impl_->config.pooling);
  return impl_->config.normalize ? NormalizeRows(pooled) : pooled;
}

const EncoderConfig& Encoder::config() const { return impl_->config; }
std::vector<Parameter>& Encoder::parameters() { return impl_->parameters; }
const std::vector<Parameter>& Encoder::parameters() const { return impl_->parameters; }

}  // namespace muster
