#include "worker/rank/model/encoder_weights.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <numbers>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/model/families/family.h"
#include "common/model/weights.h"
#include "common/random.h"
#include "common/status.h"

namespace muster {
namespace {

constexpr double kInitialDeviation = 0.02;

// Two normal numbers per Philox block. Source: Box, Muller, "A note on the generation of random normal deviates", 1958.
at::Tensor NormalTensor(const std::vector<int64_t>& shape, uint64_t key, double deviation = kInitialDeviation) {
  at::Tensor tensor = at::empty(shape, at::kDouble);
  double* out = tensor.mutable_data_ptr<double>();
  const int64_t size = tensor.numel();
  at::parallel_for(0, (size + 1) / 2, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const auto words = Philox({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), 0, 0}, key);
      const auto uniform = [&](int i) {
        return (static_cast<double>((uint64_t{words[i]} | uint64_t{words[i + 1]} << 32) >> 11) + 0.5) * 0x1.0p-53;
      };
      const double radius = deviation * std::sqrt(-2 * std::log(uniform(0)));
      const double angle = 2 * std::numbers::pi * uniform(2);
      out[2 * block] = radius * std::cos(angle);
      if (2 * block + 1 < size) out[2 * block + 1] = radius * std::sin(angle);
    }
  });
  return tensor;
}

at::Tensor Leaf(const at::Tensor& value, at::ScalarType type, at::Device device) {
  return value.to(type).to(device).contiguous().detach().set_requires_grad(true);
}

// Reads the tensors of one file, which may be anywhere in the model's order: a large model is read shard by shard.
absl::Status ReadFrom(const std::filesystem::path& folder, const std::string& file,
                      const std::vector<StoredTensor>& stored, at::ScalarType type, at::Device device,
                      std::vector<Parameter>& parameters) {
  ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::Open(folder / file));
  for (size_t i = 0; i < stored.size(); ++i) {
    if (stored[i].file != file) continue;
    ASSIGN_OR_RETURN(const at::Tensor value, ReadTensor(mapped, stored[i].entry));
    parameters[i].value = Leaf(value, type, device);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<Parameter>> LoadParameters(const std::filesystem::path& folder, const EncoderConfig& config,
                                                      at::ScalarType type, at::Device device) {
  const at::NoGradGuard no_grad;
  ASSIGN_OR_RETURN(const ModelWeights weights, FindWeights(folder, config));
  std::vector<Parameter> parameters;
  for (TensorShape& tensor : ModelTensors(config)) parameters.push_back({std::move(tensor.name), {}});
  std::set<std::string> files;
  for (const StoredTensor& tensor : weights.tensors) files.insert(tensor.file);
  for (const std::string& file : files) {
    RETURN_IF_ERROR(WithContext(ReadFrom(folder, file, weights.tensors, type, device, parameters), folder.string()));
  }
  return parameters;
}

std::vector<Parameter> RandomParameters(const EncoderConfig& config, uint64_t seed, at::ScalarType type,
                                        at::Device device) {
  const at::NoGradGuard no_grad;
  std::vector<Parameter> parameters;
  for (const TensorShape& tensor : ModelTensors(config)) {
    at::Tensor value;
    if (absl::EndsWith(tensor.name, ".bias")) {
      value = at::zeros(tensor.shape, type);
    } else if (IsNormWeight(tensor.name)) {
      value = at::full(tensor.shape, 1, type);
    } else {
      value = NormalTensor(tensor.shape, MixKey(seed, parameters.size()));
    }
    parameters.push_back({tensor.name, Leaf(value, type, device)});
  }
  return parameters;
}

absl::StatusOr<std::vector<Parameter>> LoraParameters(const EncoderConfig& config, at::ScalarType type,
                                                      at::Device device) {
  const at::NoGradGuard no_grad;
  constexpr uint64_t kAdapters = 0x6c6f7261;  // so that random weights of the same seed draw other numbers
  ASSIGN_OR_RETURN(const std::vector<TensorShape> targets, LoraTargets(config, config.lora.targets));
  const uint64_t key = MixKey(config.lora.seed, kAdapters);
  std::vector<Parameter> parameters;
  for (size_t i = 0; i < targets.size(); ++i) {
    const std::string name = targets[i].name.substr(0, targets[i].name.rfind('.'));
    const int64_t out = targets[i].shape[0], in = targets[i].shape[1], rank = config.lora.rank;
    // The standard deviation of a uniform distribution within 1 / sqrt(in), which is PEFT's initialization.
    const double deviation = 1 / std::sqrt(3.0 * static_cast<double>(in));
    parameters.push_back({name + kLoraDown, Leaf(NormalTensor({rank, in}, MixKey(key, i), deviation), type, device)});
    parameters.push_back({name + kLoraUp, Leaf(at::zeros({out, rank}, type), type, device)});
  }
  return parameters;
}

}  // namespace muster
