#include "worker/rank/model/encoder.h"

#include <ATen/core/grad_mode.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
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
#include "worker/rank/model/mixed.h"
#include "worker/rank/model/sequence_plan.h"

namespace muster {
namespace {

// One product over one input: several weights stand side by side, as queries, keys and values do.
struct Linear {
  std::vector<Affine> masters;
  Affine cast;  // of all masters, in bfloat16; undefined where the encoder does not compute in it
};

struct Layer {
  Linear qkv, attention_output, intermediate, output;
  Affine attention_norm, output_norm;
};

at::Tensor Apply(const Linear& linear, const at::Tensor& x) {
  if (linear.cast.weight.defined()) return MixedLinear(x, linear.masters, linear.cast);
  if (linear.masters.size() == 1) return at::linear(x, linear.masters[0].weight, linear.masters[0].bias);
  // Copying the weights side by side costs far less than a product each.
  std::vector<at::Tensor> weights, biases;
  for (const Affine& master : linear.masters) {
    weights.push_back(master.weight);
    biases.push_back(master.bias);
  }
  return at::linear(x, at::cat(weights), at::cat(biases));
}

at::Tensor LayerNorm(const Affine& affine, const at::Tensor& x, double epsilon) {
  if (x.scalar_type() == at::kBFloat16) return MixedLayerNorm(x, affine, epsilon);
  return at::layer_norm(x, {x.size(-1)}, affine.weight, affine.bias, epsilon);
}

// Row of each token within its sequence, int64 [T].
at::Tensor Positions(const SequencePlan& plan, at::Device device) {
  std::vector<int64_t> positions(plan.rows);
  auto out = positions.begin();
  for (const int64_t length : plan.lengths) {
    std::iota(out, out + length, int64_t{0});
    out += length;
  }
  return IndicesOn(device, positions);
}

// The first (or last) row of each sequence.
at::Tensor PickRows(const at::Tensor& hidden, const SequencePlan& plan, bool last) {
  std::vector<int64_t> rows = plan.first_rows;
  for (size_t s = 0; last && s < rows.size(); ++s) rows[s] += plan.lengths[s] - 1;
  return hidden.index_select(0, IndicesOn(hidden.device(), rows));
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
    case PoolingMode::kMax:  // refused where a folder is read
    case PoolingMode::kMeanSqrtLength:
    case PoolingMode::kWeightedMean:
      break;
  }
  TORCH_CHECK(false, "pooling mode ", static_cast<int>(mode), " is not one of PoolingMode");
}

// As torch.nn.functional.normalize: x / max(|x|, 1e-12).
at::Tensor NormalizeRows(const at::Tensor& x) { return x / x.norm(2, {1}, /*keepdim=*/true).clamp_min(1e-12); }

absl::Status CheckOptions(const EncoderOptions& options) {
  if (options.type != at::kFloat && options.type != at::kDouble) {
    return absl::InvalidArgumentError("an encoder's parameters are float32 or float64");
  }
  if (options.bfloat16 && options.type != at::kFloat) {
    return absl::InvalidArgumentError("bfloat16 needs float32 parameters");
  }
  return absl::OkStatus();
}

}  // namespace

struct Encoder::Impl {
  EncoderConfig config;
  EncoderOptions options;
  std::vector<Parameter> parameters;
  at::Tensor word_embeddings, position_embeddings, type_embeddings;
  Affine embedding_norm;
  std::vector<Layer> layers;
  std::vector<uint32_t> cast_versions;  // of the parameters when their copies in bfloat16 were made

  Impl(EncoderConfig encoder_config, const EncoderOptions& encoder_options, std::vector<Parameter> tensors);

  void RefreshCasts();
  at::Tensor Embed(const at::Tensor& tokens, const Dropout& dropout, const SequencePlanPtr& plan) const;
  at::Tensor RunLayer(int64_t index, const at::Tensor& x, const Dropout& dropout, const SequencePlanPtr& plan) const;
};

Encoder::Impl::Impl(EncoderConfig encoder_config, const EncoderOptions& encoder_options, std::vector<Parameter> tensors)
    : config(std::move(encoder_config)), options(encoder_options), parameters(std::move(tensors)) {
  options.device = parameters.front().value.device();  // with its index
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
    const std::string layer = "encoder.layer." + std::to_string(i), self = layer + ".attention.self.";
    layers.push_back({.qkv = {.masters = {affine(self + "query"), affine(self + "key"), affine(self + "value")}},
                      .attention_output = {.masters = {affine(layer + ".attention.output.dense")}},
                      .intermediate = {.masters = {affine(layer + ".intermediate.dense")}},
                      .output = {.masters = {affine(layer + ".output.dense")}},
                      .attention_norm = affine(layer + ".attention.output.LayerNorm"),
                      .output_norm = affine(layer + ".output.LayerNorm")});
  }
}

// Once an update, for all micro-batches: every change of a parameter in place counts up its version. Graphs that are
// kept hold on to the copies they were made with.
void Encoder::Impl::RefreshCasts() {
  std::vector<uint32_t> versions;
  for (const Parameter& parameter : parameters) versions.push_back(parameter.value._version());
  if (versions == cast_versions) return;
  for (Layer& layer : layers) {
    for (Linear* linear : {&layer.qkv, &layer.attention_output, &layer.intermediate, &layer.output}) {
      linear->cast = CastJoined(linear->masters);
    }
  }
  cast_versions = std::move(versions);
}

at::Tensor Encoder::Impl::Embed(const at::Tensor& tokens, const Dropout& dropout, const SequencePlanPtr& plan) const {
  // Where a dense gradient is there to be added to, the backward sends the few rows that the tokens name; it would
  // otherwise make one of the vocabulary's size for each batch.
  const bool rows_only = word_embeddings.grad().defined();
  const at::Tensor words = at::embedding(word_embeddings, tokens, /*padding_idx=*/-1, /*scale_grad_by_freq=*/false,
                                         /*sparse=*/rows_only);
  const at::Tensor places =
      at::embedding(position_embeddings, Positions(*plan, tokens.device())) + type_embeddings.select(0, 0);
  at::Tensor x = LayerNorm(embedding_norm, words + places, config.layer_norm_epsilon);
  if (options.bfloat16) x = x.to(at::kBFloat16);
  return DropoutAdd(x, {}, DropoutRate(dropout.hidden), {0, DropoutSite::kEmbeddings}, plan);
}

at::Tensor Encoder::Impl::RunLayer(int64_t index, const at::Tensor& x, const Dropout& dropout,
                                   const SequencePlanPtr& plan) const {
  const Layer& layer = layers[index];
  const DropoutRate hidden(dropout.hidden), attention(dropout.attention);
  const at::Tensor context = PackedAttention(Apply(layer.qkv, x), config.heads, attention, index, plan);
  const at::Tensor attended = LayerNorm(
      layer.attention_norm,
      DropoutAdd(Apply(layer.attention_output, context), x, hidden, {index, DropoutSite::kAttentionOutput}, plan),
      config.layer_norm_epsilon);
  const at::Tensor fed = Apply(layer.output, at::gelu(Apply(layer.intermediate, attended)));
  return LayerNorm(layer.output_norm,
                   DropoutAdd(fed, attended, hidden, {index, DropoutSite::kFeedForward}, plan),
                   config.layer_norm_epsilon);
}

absl::StatusOr<std::unique_ptr<Encoder>> Encoder::Load(const std::filesystem::path& folder, EncoderConfig config,
                                                       const EncoderOptions& options) {
  RETURN_IF_ERROR(CheckOptions(options));
  ASSIGN_OR_RETURN(std::vector<Parameter> parameters, LoadParameters(folder, config, options.type, options.device));
  return std::unique_ptr<Encoder>(
      new Encoder(std::make_unique<Impl>(std::move(config), options, std::move(parameters))));
}

absl::StatusOr<std::unique_ptr<Encoder>> Encoder::Random(EncoderConfig config, uint64_t seed,
                                                         const EncoderOptions& options) {
  RETURN_IF_ERROR(CheckOptions(options));
  if (config.heads <= 0 || config.hidden_size % config.heads != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("hidden size ", config.hidden_size, " is not a multiple of ", config.heads, " heads"));
  }
  std::vector<Parameter> parameters = RandomParameters(config, seed, options.type, options.device);
  return std::unique_ptr<Encoder>(
      new Encoder(std::make_unique<Impl>(std::move(config), options, std::move(parameters))));
}

Encoder::Encoder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Encoder::~Encoder() = default;

at::Tensor Encoder::Encode(const PackedBatch& batch, const Dropout& dropout) const {
  const SequencePlanPtr plan = MakeSequencePlan(batch, dropout);
  TORCH_CHECK(plan->rows > 0, "a packed batch without sequences");
  TORCH_CHECK(batch.tokens.device() == impl_->options.device, "a batch on ", batch.tokens.device(),
              ", the encoder is on ", impl_->options.device);
  if (impl_->options.bfloat16) impl_->RefreshCasts();
  at::Tensor hidden = impl_->Embed(batch.tokens, dropout, plan);
  for (int64_t i = 0; i < impl_->config.layers; ++i) hidden = impl_->RunLayer(i, hidden, dropout, plan);
  const at::Tensor pooled = Pool(hidden.to(impl_->options.type), *plan, impl_->config.pooling);
  return impl_->config.normalize ? NormalizeRows(pooled) : pooled;
}

const EncoderConfig& Encoder::config() const { return impl_->config; }
const EncoderOptions& Encoder::options() const { return impl_->options; }
std::vector<Parameter>& Encoder::parameters() { return impl_->parameters; }
const std::vector<Parameter>& Encoder::parameters() const { return impl_->parameters; }

}  // namespace muster
