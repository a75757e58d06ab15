#include "worker/rank/train/step_cost.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <sys/resource.h>

#include <algorithm>
#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "common/clock.h"
#include "common/model/parts.h"
#include "worker/rank/product/matrix_product.h"

namespace muster {
namespace {

constexpr int64_t kMeasuredRows = 2048;
constexpr double kGainWorthSaying = 1.3;

// The smallest depth that has trained parameters. Layers below it are not differentiated.
int64_t FirstDifferentiated(const EncoderConfig& config) {
  int64_t first = config.layers + 1;
  for (const TensorShape& tensor : EncoderTensors(config)) {
    if (!IsFrozen(config, tensor.name)) first = std::min(first, DepthOfTensor(tensor.name, config.layers));
  }
  return first;
}

// Per token, of the products: 2 forward, 2 for the gradient of the input, 2 for that of the weight.
double ProductOperations(const EncoderConfig& config, int64_t first_differentiated) {
  double operations = 0;
  for (const TensorShape& tensor : EncoderTensors(config)) {
    const bool table = absl::StrContains(tensor.name, "embed") || absl::StrContains(tensor.name, "relative_attention_bias");
    if (tensor.shape.size() != 2 || table) continue;
    const bool differentiated = DepthOfTensor(tensor.name, config.layers) >= first_differentiated;
    const bool trained = config.lora.rank == 0 && !IsFrozen(config, tensor.name);
    const double per_weight = 2 + (differentiated ? 2 : 0) + (trained ? 2 : 0);
    operations += per_weight * static_cast<double>(tensor.shape[0] * tensor.shape[1]);
  }
  return operations;
}

void Synchronize(at::Device device) {
  if (!device.is_cpu()) c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
}

}  // namespace

double StepOperations(const EncoderConfig& config, std::span<const PackedBatch> batches) {
  const int64_t first = FirstDifferentiated(config);
  double tokens = 0, seen = 0;  // seen: keys that a layer's queries see, times 12 or 4, summed over layers
  const auto width = static_cast<double>(config.heads * config.HeadSize());
  for (const PackedBatch& batch : batches) {
    for (const int64_t length : batch.lengths) {
      tokens += static_cast<double>(length);
      for (int64_t layer = 0; layer < config.layers; ++layer) {
        const int64_t keys = config.IsLocal(layer) ? std::min(length, 2 * config.window + 1) : length;
        seen += static_cast<double>((layer + 1 >= first ? 12 : 4) * length * keys);
      }
    }
  }
  return ProductOperations(config, first) * tokens + width * seen;
}

double MeasureProductRate(const EncoderConfig& config, const EncoderOptions& options) {
  const at::NoGradGuard no_gradient;
  const at::TensorOptions like =
      at::TensorOptions().dtype(options.bfloat16 ? at::kBFloat16 : options.type).device(options.device);
  const at::Tensor rows = at::ones({kMeasuredRows, config.hidden_size}, like);
  const at::Tensor weights = at::ones({config.hidden_size, config.intermediate_size}, like);
  at::Tensor product = at::empty({kMeasuredRows, config.intermediate_size}, like);
  double fastest = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 4; ++i) {
    Synchronize(options.device);
    const absl::Duration start = RealClock().Monotonic();
    MultiplyInto(rows, weights, /*bias=*/{}, product);
    Synchronize(options.device);
    const double seconds = absl::ToDoubleSeconds(RealClock().Monotonic() - start);
    if (i > 0) fastest = std::min(fastest, seconds);  // the first one touches the memory
  }
  const auto size = static_cast<double>(kMeasuredRows * config.hidden_size * config.intermediate_size);
  return fastest > 0 ? 2 * size / fastest : 0;
}

bool ProcessorHasBfloat16() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16") || __builtin_cpu_supports("amx-bf16");
#else
  return false;
#endif
}

std::string PrecisionAdvice(const EncoderConfig& config, const EncoderOptions& options, double product_rate) {
  if (!options.device.is_cpu() || options.type != at::kFloat || options.bfloat16 || !ProcessorHasBfloat16()) return "";
  const EncoderOptions other(options.type, options.device, /*in_bfloat16=*/true);
  const double gain = MeasureProductRate(config, other) / product_rate;
  if (!(gain >= kGainWorthSaying)) return "";
  return absl::StrFormat("this processor multiplies bfloat16 %.1f times as fast as float32: consider `precision: bf16`", gain);
}

uint64_t PeakMemoryBytes(at::Device device) {
  if (device.is_cpu()) {
    rusage usage{};
    return getrusage(RUSAGE_SELF, &usage) == 0 ? static_cast<uint64_t>(usage.ru_maxrss) << 10 : 0;
  }
  constexpr auto kAll = static_cast<size_t>(c10::CachingDeviceAllocator::StatType::AGGREGATE);
  return static_cast<uint64_t>(c10::getDeviceAllocator(device.type())->getDeviceStats(device.index()).allocated_bytes[kAll].peak);
}

}  // namespace muster
