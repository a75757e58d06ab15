// Maps a tensor's element type to a C++ type.
#pragma once

#include <ATen/core/Tensor.h>

namespace muster {

// Calls operation(E{}) with the type of the tensor's elements. `what` names them in the error for another type.
template <typename Operation>
void WithElementType(const at::Tensor& tensor, const char* what, const Operation& operation) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return operation(float{});
    case at::kDouble:
      return operation(double{});
    case at::kBFloat16:
      return operation(c10::BFloat16{});
    default:
      TORCH_CHECK(false, what, " of ", tensor.scalar_type(), ": float32, float64 and bfloat16 are known");
  }
}

}  // namespace muster
