// Products of two matrices, on any device and of any type: torch's, or the kernels of cpu_product.h where this
// processor has them.
#pragma once

#include <ATen/core/Tensor.h>

namespace muster {

// out [M, N] = a [M, K] b [K, N], + bias [N] where it is defined.
void MultiplyInto(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias, at::Tensor& out);
// out += a b.
void AddProductTo(const at::Tensor& a, const at::Tensor& b, at::Tensor& out);

// Computes either with the kernels of cpu_product.h, whose requirements on processor, type and strides must be met.
void RunOwnProduct(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias, bool add, at::Tensor& out);

}  // namespace muster
