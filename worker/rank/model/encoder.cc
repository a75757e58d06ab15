#include "worker/rank/model/encoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>

#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "common/model/parts.h"
#include "common/model/weights.h"
#include "common/status.h"
#include "worker/rank/model/blocks.h"
#include "worker/rank/model/encoder_weights.h"
#include "worker/rank/model/layers.h"
#include "worker/rank/model/mixed.h"
#include "worker/rank/model/pooling.h"
#include "worker/rank/model/sequence_plan.h"

namespace muster {
namespace {

// The same as torch.nn.functional.normalize: x / max(|x|, 1e-12).
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
  std::vector<Parameter> parameters, fixed;
  std::unique_ptr<Layers> layers;
  std::vector<Affine> dense;            // of config.dense
  std::vector<uint32_t> cast_versions;  // of the parameters when their copies in bfloat16 were made

  // `adapters`: those of config.lora; empty: all tensors are trained.
  Impl(EncoderConfig encoder_config, const EncoderOptions& encoder_options, std::vector<Parameter> tensors,
       std::vector<Parameter> adapters);

  void RefreshCasts();
};

Encoder::Impl::Impl(EncoderConfig encoder_config, const EncoderOptions& encoder_options, std::vector<Parameter> tensors,
                    std::vector<Parameter> adapters)
    : config(std::move(encoder_config)), options(encoder_options) {
  options.device = tensors.front().value.device();  // with its index
  const bool adapted = !adapters.empty();
  for (Parameter& tensor : tensors) {
    const bool trained = !adapted && !IsFrozen(config, tensor.name);
    if (!trained) tensor.value.set_requires_grad(false);
    (trained ? parameters : fixed).push_back(std::move(tensor));
  }
  if (adapted) parameters = std::move(adapters);
  const double scale = config.lora.rank > 0 ? config.lora.alpha / static_cast<double>(config.lora.rank) : 1;
  const Weights weights(fixed, parameters, scale);
  layers = MakeLayers(config, weights, options.bfloat16);
  for (const DenseModule& module : config.dense) dense.push_back(weights.GetAffine(module.folder + ".linear"));
}

// Makes the copies once per update, for all micro-batches: each change of a parameter in place increments its version.
// A kept graph holds the copies that it was computed with.
void Encoder::Impl::RefreshCasts() {
  std::vector<uint32_t> versions;
  for (const Parameter& parameter : parameters) versions.push_back(parameter.value._version());
  if (versions == cast_versions) return;
  for (Linear* linear : layers->Products()) RefreshCast(*linear);
  cast_versions = std::move(versions);
}

absl::StatusOr<std::unique_ptr<Encoder>> Encoder::Load(const std::filesystem::path& folder, EncoderConfig config,
                                                       const EncoderOptions& options) {
  RETURN_IF_ERROR(CheckOptions(options));
  ASSIGN_OR_RETURN(std::vector<Parameter> tensors, LoadParameters(folder, config, options.type, options.device));
  return Make(std::move(config), options, std::move(tensors));
}

absl::StatusOr<std::unique_ptr<Encoder>> Encoder::Random(EncoderConfig config, uint64_t seed,
                                                         const EncoderOptions& options) {
  RETURN_IF_ERROR(CheckOptions(options));
  if (config.heads <= 0 || (config.head_size == 0 && config.hidden_size % config.heads != 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("hidden size ", config.hidden_size, " is not a multiple of ", config.heads, " heads"));
  }
  std::vector<Parameter> tensors = RandomParameters(config, seed, options.type, options.device);
  return Make(std::move(config), options, std::move(tensors));
}

absl::StatusOr<std::unique_ptr<Encoder>> Encoder::Make(EncoderConfig config, const EncoderOptions& options,
                                                       std::vector<Parameter> tensors) {
  RETURN_IF_ERROR(CheckFrozen(config));
  std::vector<Parameter> adapters;
  if (config.lora.rank > 0) {
    ASSIGN_OR_RETURN(adapters, LoraParameters(config, options.type, options.device));
    std::erase_if(adapters, [&](const Parameter& adapter) { return IsFrozen(config, adapter.name); });
  }
  return std::unique_ptr<Encoder>(
      new Encoder(std::make_unique<Impl>(std::move(config), options, std::move(tensors), std::move(adapters))));
}

Encoder::Encoder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Encoder::~Encoder() = default;

at::Tensor Encoder::Encode(const PackedBatch& batch, const Dropout& dropout) const {
  const SequencePlanPtr plan = MakeSequencePlan(batch, dropout);
  TORCH_CHECK(plan->rows > 0, "a packed batch without sequences");
  TORCH_CHECK(batch.tokens.device() == impl_->options.device, "a batch on ", batch.tokens.device(),
              ", the encoder is on ", impl_->options.device);
  if (impl_->options.bfloat16) impl_->RefreshCasts();
  const at::Tensor hidden = impl_->layers->Run(batch.tokens, dropout, plan);
  at::Tensor pooled = PoolRows(hidden, plan, impl_->config.pooling);
  for (size_t i = 0; i < impl_->dense.size(); ++i) {
    const Affine& dense = impl_->dense[i];
    pooled = Activate(impl_->config.dense[i].activation, at::linear(pooled, dense.weight, dense.bias));
  }
  return impl_->config.normalize ? NormalizeRows(pooled) : pooled;
}

PackedWeights::PackedWeights(const Encoder& encoder) : encoder_(encoder) {
  const at::NoGradGuard no_grad;
  for (Linear* linear : encoder_.impl_->layers->Products()) PackWeights(*linear);
}
PackedWeights::~PackedWeights() {
  for (Linear* linear : encoder_.impl_->layers->Products()) linear->packed.clear();
}

const EncoderConfig& Encoder::config() const { return impl_->config; }
const EncoderOptions& Encoder::options() const { return impl_->options; }
std::vector<Parameter>& Encoder::parameters() { return impl_->parameters; }
const std::vector<Parameter>& Encoder::parameters() const { return impl_->parameters; }
const std::vector<Parameter>& Encoder::fixed() const { return impl_->fixed; }

std::unique_ptr<Encoder> Encoder::Merged() const {
  const at::NoGradGuard no_grad;
  EncoderConfig config = impl_->config;
  absl::flat_hash_map<std::string, at::Tensor> tensors;  // with adapters
  for (const auto* list : {&impl_->fixed, &impl_->parameters}) {
    for (const Parameter& parameter : *list) tensors[parameter.name] = parameter.value;
  }
  std::vector<Parameter> merged;
  for (const TensorShape& tensor : ModelTensors(config)) {
    const std::string name = tensor.name.substr(0, tensor.name.rfind('.'));
    at::Tensor value = tensors.at(tensor.name).detach().clone();
    const auto down = tensors.find(name + kLoraDown);
    if (down != tensors.end() && tensor.name.ends_with(".weight")) {
      const at::Tensor product =
          at::matmul(tensors.at(name + kLoraUp).to(at::kDouble), down->second.to(at::kDouble));
      value = (value.to(at::kDouble) + product * (config.lora.alpha / static_cast<double>(config.lora.rank)))
                  .to(value.scalar_type());
    }
    merged.push_back({tensor.name, value.set_requires_grad(true)});
  }
  config.lora = {};
  config.frozen.clear();
  return std::unique_ptr<Encoder>(new Encoder(
      std::make_unique<Impl>(std::move(config), impl_->options, std::move(merged), std::vector<Parameter>())));
}

}  // namespace muster
