#include "tests/gpu/models.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <numeric>

#include "common/status.h"

namespace muster {

absl::StatusOr<std::unique_ptr<Encoder>> WideEncoder(const EncoderConfig& config, const EncoderOptions& options) {
  ASSIGN_OR_RETURN(auto encoder, Encoder::Random(config, 7, options));
  const at::NoGradGuard no_gradient;
  uint64_t tensor = 0;
  for (Parameter& parameter : encoder->parameters()) {
    auto generator = at::detail::createCPUGenerator(++tensor);
    const at::Tensor noise = at::randn(parameter.value.sizes(), generator, at::kFloat);
    // Computed on the CPU in float32 for all, so that the values are the same everywhere.
    const at::Tensor value = parameter.value.to(at::kCPU, at::kFloat).add(noise, 0.08);
    parameter.value.copy_(value);
  }
  return encoder;
}

PackedBatch RandomBatchOn(at::Device device, const EncoderConfig& config, std::vector<int64_t> lengths, uint64_t seed) {
  std::ranges::sort(lengths);
  PackedBatch batch;
  const int64_t total = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  auto generator = at::detail::createCPUGenerator(seed);
  batch.tokens = at::randint(0, config.vocabulary_size, {total}, generator, at::kLong).to(device);
  for (size_t i = 0; i < lengths.size(); ++i) batch.slots.push_back(static_cast<uint32_t>(100 + i));
  batch.lengths = std::move(lengths);
  return batch;
}

EncoderConfig SmallEncoder() {
  EncoderConfig config;
  config.vocabulary_size = 200;
  config.hidden_size = 96;
  config.layers = 3;
  config.heads = 3;
  config.intermediate_size = 200;
  config.max_positions = config.max_sequence_length = 300;
  return config;
}

EncoderConfig MiniLm() {
  EncoderConfig config;
  config.hidden_size = 384;
  config.layers = 6;
  config.heads = 12;
  config.intermediate_size = 1536;
  return config;
}

EncoderConfig BertBase() {
  EncoderConfig config;
  config.hidden_size = 768;
  config.layers = config.heads = 12;
  config.intermediate_size = 3072;
  return config;
}

}  // namespace muster
