// Bias, activation, gate and dropout in one pass; see worker/rank/model/encoder_ops.h. No torch header.
#pragma once

#include <cstdint>

#include "worker/rank/cuda/column_sums.h"
#include "worker/rank/cuda/row_types.h"

namespace muster::cuda {

enum class ActivationKind { kGelu, kGeluTanh, kRelu, kSilu, kTanh };

// out = mask * f(x + bias), or gated mask * (f(a) * b), where a and b are the halves of the columns of x + bias.
struct ActivationJob {
  Element element = Element::kFloat;
  ActivationKind kind = ActivationKind::kGelu;
  bool gated = false;
  int64_t rows = 0, width = 0;  // width of the output
  const void* x = nullptr;      // E [rows, width], gated [rows, 2 * width]
  const void* bias = nullptr;   // P, as many as x has columns, or null
  RowsMask mask;
  void* out = nullptr;  // E [rows, width]; null if the backward does not need it
};

struct ActivationBackwardJob : ActivationJob {
  const void* d_out = nullptr;  // E [rows, width]
  void* d_x = nullptr;          // like x; may be d_out if not gated
  void* d_bias = nullptr;       // P, as many as x has columns, += column sums of d_x before rounding; or null
  void* partial = nullptr;      // scratch memory, P [PartialRows(rows), columns of x]; null if d_bias is
};

// Each runs on `stream` (a cudaStream_t) and returns a cudaError_t.
int Activate(const ActivationJob& job, void* stream);
int ActivateBackward(const ActivationBackwardJob& job, void* stream);

}  // namespace muster::cuda
