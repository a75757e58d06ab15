// Dropout whose mask is a pure function of (seed, step, slot, layer, site, element).
//
// Element e of a site belongs to block e / 8 of Philox4x32-10, keyed by
// MixKey(MixKey(MixKey(MixKey(seed, step), slot), layer), site); its decision is the 16-bit half e % 2 (low first) of
// word e / 2 % 4. It is dropped where that number is below round(65536 * probability), so probabilities are quantized
// to 1/65536; kept values are scaled by exactly the inverse of the quantized probability of keeping.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "worker/rank/model/sequence_plan.h"

namespace muster {

// Where a mask is applied, and what `element` counts within a sequence of length L.
enum class DropoutSite : uint64_t {
  kEmbeddings = 0,       // row * hidden_size + column; layer 0
  kAttentionOutput = 1,  // row * hidden_size + column
  kFeedForward = 2,      // row * hidden_size + column
  kProbabilities = 3,    // (head * L + query) * L + key
};

struct DropoutRate {
  explicit DropoutRate(double probability);
  bool active() const { return threshold > 0; }
  uint32_t threshold;  // of 65536
  double scale;        // of what is kept
};

struct DropoutPlace {
  int64_t layer = 0;
  DropoutSite site = DropoutSite::kEmbeddings;
};

uint64_t DropoutKey(uint64_t sequence_key, const DropoutPlace& place);

// out[i] = mask(i) * scale * x[i] for the elements 0 <= i < size of one sequence. out may be x. bfloat16 is computed in float.
void ApplyMask(uint64_t key, const DropoutRate& rate, int64_t size, const float* x, float* out);
void ApplyMask(uint64_t key, const DropoutRate& rate, int64_t size, const double* x, double* out);
void ApplyMask(uint64_t key, const DropoutRate& rate, int64_t size, const c10::BFloat16* x, c10::BFloat16* out);

// Draws the masks of attention's probabilities on a device; EncoderOps draw those of rows. Tensors are dense, of one floating
// type, and of that device; out may be p.
class DropoutOps {
 public:
  virtual ~DropoutOps() = default;
  // out = mask * scale * p, site kProbabilities, of the run's sequences: [count * heads, length, length].
  virtual void MaskProbabilities(const at::Tensor& p, const Run& run, const DropoutRate& rate, int64_t layer,
                                 const SequencePlan& plan, at::Tensor& out) const = 0;
};
const DropoutOps& DropoutOpsOf(c10::DeviceType device);  // throws c10::Error where none is registered
// Call it before the first use on that device. `ops` must live forever. The CPU's operations are built in.
void RegisterDropoutOps(c10::DeviceType device, const DropoutOps& ops);

}  // namespace muster
