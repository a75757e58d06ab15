// Encoders for the GPU tests, on a device.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "worker/rank/model/encoder.h"

namespace muster {

// Random weights of `seed`, alike on every device and in every type but for its rounding. `wide`: further from zero, so
// that attention is far from uniform and every gradient far from rounding.
absl::StatusOr<std::unique_ptr<Encoder>> EncoderOn(at::Device device, const EncoderConfig& config, uint64_t seed,
                                                   at::ScalarType type, bool wide = false);

// Sequences of these lengths with random tokens and slots 100, 101, …
PackedBatch RandomBatchOn(at::Device device, const EncoderConfig& config, std::vector<int64_t> lengths, uint64_t seed);

// 3 layers, hidden size 96, 3 heads.
EncoderConfig SmallEncoder();
// BERT-base: 12 layers, hidden size 768, 12 heads, 110 million parameters.
EncoderConfig BertBase();

}  // namespace muster
