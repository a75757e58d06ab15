// The source of an encoder's parameters: a Hugging Face folder, or random numbers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/rank/model/encoder.h"

namespace muster {

// Every tensor of ModelTensors(config), in that order, as leaves of `type` on `device` that require gradients; found as
// common/model/weights.h says. INVALID_ARGUMENT names the file, the tensor and both shapes.
absl::StatusOr<std::vector<Parameter>> LoadParameters(const std::filesystem::path& folder, const EncoderConfig& config,
                                                      at::ScalarType type, at::Device device);

// normal(0, 0.02); weights of norms 1, biases 0. Element e of tensor t is a pure function of (seed, t, e).
std::vector<Parameter> RandomParameters(const EncoderConfig& config, uint64_t seed, at::ScalarType type,
                                        at::Device device);

// The trained tensors if config.lora has a rank. Each target "NAME.weight" has NAME.lora_A.weight [rank, in], whose element e
// is a pure function of (config.lora.seed, target, e), followed by NAME.lora_B.weight [out, rank], which begins as 0.
inline constexpr char kLoraDown[] = ".lora_A.weight", kLoraUp[] = ".lora_B.weight";
absl::StatusOr<std::vector<Parameter>> LoraParameters(const EncoderConfig& config, at::ScalarType type,
                                                      at::Device device);

}  // namespace muster
