#include "worker/rank/train/model_spec.h"

#include "common/status.h"

namespace muster {
namespace {

EncoderConfig WithModelSpec(EncoderConfig config, const muster::v1::ModelSpec& spec) {
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
    case muster::v1::POOLING_DEFAULT:
    case muster::v1::Pooling_INT_MIN_SENTINEL_DO_NOT_USE_:
    case muster::v1::Pooling_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  if (spec.has_normalize()) config.normalize = spec.normalize();
  return config;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Encoder>> EncoderFromSpec(const muster::v1::JobSpec& spec,
                                                         const std::filesystem::path& folder,
                                                         int64_t vocabulary_size, at::ScalarType type) {
  if (spec.precision() == muster::v1::PRECISION_BF16) {
    return absl::FailedPreconditionError("precision: bf16 needs a GPU. Use auto or fp32.");
  }
  if (!spec.model().preset().empty()) {
    ASSIGN_OR_RETURN(const EncoderConfig config, PresetConfig(spec.model().preset(), vocabulary_size));
    return Encoder::Random(WithModelSpec(config, spec.model()), spec.seed(), type);
  }
  ASSIGN_OR_RETURN(const EncoderConfig config, ReadEncoderConfig(folder));
  return Encoder::Load(folder, WithModelSpec(config, spec.model()), type);
}

}  // namespace muster
