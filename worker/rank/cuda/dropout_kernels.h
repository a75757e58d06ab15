// The counter-based dropout on a GPU: the masks of worker/rank/model/dropout.h, bit for bit. No torch header.
#pragma once

#include <cstdint>

#include "worker/rank/cuda/row_types.h"

namespace muster::cuda {

// Sequence s covers elements [s * width, (s + 1) * width) of the tensors. Its key is DropoutKey(keys[s], {layer, site}).
// Pointers point to the device.
struct MaskJob {
  Element element = Element::kFloat;
  const void* x = nullptr;
  void* out = nullptr;            // may be x
  const int64_t* keys = nullptr;  // the bits of uint64
  int64_t sequences = 0;
  int64_t width = 0;
  uint64_t layer = 0, site = 0;
  uint32_t threshold = 0;
  double scale = 0;
};

// out[e] = mask(e) * scale * x[e] on `stream` (a cudaStream_t); bfloat16 is computed in float. Returns a cudaError_t.
int ApplyMask(const MaskJob& job, void* stream);

}  // namespace muster::cuda
