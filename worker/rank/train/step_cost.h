// Compares a step's cost with the device's peak, so that users see how far below it a job runs.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>

#include "worker/rank/model/encoder.h"

namespace muster {

// Floating-point operations of forward and backward of these sequences, without those of a replay: 6 per token and
// weight of a product (4 where the weights are fixed, 2 in front of everything that is trained), and 12 * width * L^2 per
// layer for attention within a sequence of length L (4 in front of everything that is trained; min(L, 2 * window + 1) in
// place of one L in a local layer). Source: Kaplan et al., arXiv 2001.08361, section 2.1, with attention within the sequence.
double StepOperations(const EncoderConfig& config, std::span<const PackedBatch> batches);

// Floating-point operations per second of the encoder's largest product, [2048, hidden] x [hidden, intermediate], in the
// type that it computes in, with the encoder's own product function, on the calling thread's pool: the best of three, about
// 0.1 s on a CPU core.
double MeasureProductRate(const EncoderConfig& config, const EncoderOptions& options);

// Whether the processor has instructions that multiply bfloat16 (AVX-512 BF16 or AMX).
bool ProcessorHasBfloat16();

// For a job whose precision is `auto` and whose encoder computes in float32 on a CPU: a sentence that says how many times
// as fast this processor multiplies bfloat16, where that is at least 1.3 times. Empty otherwise, and where
// ProcessorHasBfloat16() is false. `product_rate`: the result of MeasureProductRate. `auto` itself stays float32 on a CPU:
// docs/decisions/0086-auto-does-not-measure.md.
std::string PrecisionAdvice(const EncoderConfig& config, const EncoderOptions& options, double product_rate);

// Peak memory since the process began: of the allocator on a GPU, or resident memory on a CPU. 0: not known.
uint64_t PeakMemoryBytes(at::Device device);

}  // namespace muster
