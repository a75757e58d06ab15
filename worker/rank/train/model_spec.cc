#include "worker/rank/train/model_spec.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace muster {
namespace {

// Converts 0.1f to 0.1, not to 0.10000000149.
double ShortestDouble(float value) {
  double result = value;
  const auto text = absl::StrCat(value);
  return absl::SimpleAtod(text, &result) && static_cast<float>(result) == value ? result : value;
}

EncoderConfig WithModelSpec(EncoderConfig config, const muster::v1::ModelSpec& spec, uint64_t seed) {
  switch (spec.pooling()) {
    case muster::v1::POOLING_CLS:
      config.pooling = PoolingMode::kCls;
      break;
    case muster::v1::POOLING_MEAN:
      config.pooling = PoolingMode::kMean;
      break;
    case muster::v1::POOLING_LAST:
      config.pooling = PoolingMode::kLast;
      break;
    case muster::v1::POOLING_MAX:
      config.pooling = PoolingMode::kMax;
      break;
    case muster::v1::POOLING_WEIGHTED_MEAN:
      config.pooling = PoolingMode::kWeightedMean;
      break;
    case muster::v1::POOLING_MEAN_SQRT_LENGTH:
      config.pooling = PoolingMode::kMeanSqrtLength;
      break;
    case muster::v1::POOLING_UNSPECIFIED:
    case muster::v1::Pooling_INT_MIN_SENTINEL_DO_NOT_USE_:
    case muster::v1::Pooling_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  if (spec.has_normalize()) config.normalize = spec.normalize();
  if (spec.has_include_prompt()) config.exclude_prompt = !spec.include_prompt();
  // Replaces the folder's lengths and dropout, which describe an earlier training, with the specification's. An export writes
  // these.
  const int64_t longest = std::max(spec.max_length().query(), spec.max_length().passage());
  if (longest > 0) config.max_sequence_length = std::min(longest, config.max_positions);
  if (spec.has_dropout()) config.hidden_dropout = config.attention_dropout = ShortestDouble(spec.dropout());
  if (spec.has_hidden_dropout()) config.hidden_dropout = ShortestDouble(spec.hidden_dropout());
  if (spec.has_attention_dropout()) config.attention_dropout = ShortestDouble(spec.attention_dropout());
  config.frozen = {spec.freeze().begin(), spec.freeze().end()};
  if (spec.has_lora()) {
    config.lora = {.rank = spec.lora().rank(),
                   .alpha = spec.lora().alpha(),
                   .targets = {spec.lora().targets().begin(), spec.lora().targets().end()},
                   .seed = seed};
  }
  return config;
}

bool InBfloat16(muster::v1::Precision precision, at::Device device) {
  switch (precision) {
    case muster::v1::PRECISION_BF16:
      return true;
    case muster::v1::PRECISION_FP32:
      return false;
    case muster::v1::PRECISION_UNSPECIFIED:
    case muster::v1::PRECISION_AUTO:
    case muster::v1::Precision_INT_MIN_SENTINEL_DO_NOT_USE_:
    case muster::v1::Precision_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return device.is_cuda();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Encoder>> EncoderFromSpec(const muster::v1::JobSpec& spec,
                                                         const std::filesystem::path& folder,
                                                         int64_t vocabulary_size, at::Device device,
                                                         at::ScalarType type) {
  const EncoderOptions options(type, device, type == at::kFloat && InBfloat16(spec.precision(), device));
  if (!spec.model().preset().empty()) {
    ASSIGN_OR_RETURN(const EncoderConfig config, PresetConfig(spec.model().preset(), vocabulary_size));
    return Encoder::Random(WithModelSpec(config, spec.model(), spec.seed()), spec.seed(), options);
  }
  ASSIGN_OR_RETURN(const EncoderConfig config, ReadEncoderConfig(folder));
  return Encoder::Load(folder, WithModelSpec(config, spec.model(), spec.seed()), options);
}

}  // namespace muster
