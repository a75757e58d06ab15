// Encoders for the GPU tests, on a device.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "worker/rank/model/encoder.h"

namespace muster {

// Random weights, larger than those of Encoder::Random: attention is far from uniform and every gradient far from
// rounding. The same for all options, except for rounding to their type.
absl::StatusOr<std::unique_ptr<Encoder>> WideEncoder(const EncoderConfig& config, const EncoderOptions& options);

// Sequences of these lengths with random tokens and slots 100, 101, …
PackedBatch RandomBatchOn(at::Device device, const EncoderConfig& config, std::vector<int64_t> lengths, uint64_t seed);

// 3 layers, hidden size 96, 3 heads.
EncoderConfig SmallEncoder();
// MiniLM: 6 layers, hidden size 384, 12 heads, 22 million parameters.
EncoderConfig MiniLm();
// BERT-base: 12 layers, hidden size 768, 12 heads, 110 million parameters.
EncoderConfig BertBase();

}  // namespace muster
