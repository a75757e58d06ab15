// For tests: BERT in plain operators over padded batches, with dropout's masks drawn one number at a time from their
// definition in dropout.h. Differentiable through torch's own autograd.
#pragma once

#include "worker/rank/model/encoder.h"

namespace muster {

at::Tensor ReferenceEncode(const Encoder& encoder, const PackedBatch& batch, const Dropout& dropout);

// Sequences of these lengths with random tokens and slots 100, 101, …
PackedBatch RandomBatch(const EncoderConfig& config, std::vector<int64_t> lengths, uint64_t seed);

// The sequences [first, first + count) of a batch.
PackedBatch SliceBatch(const PackedBatch& batch, int64_t first, int64_t count);

// 3 layers, hidden size 24, 3 heads: small, and not a multiple of a vector.
EncoderConfig SmallConfig();

double LargestDifference(const at::Tensor& a, const at::Tensor& b);

}  // namespace muster
