// Products of two matrices, on any device and of any type: torch's, or the kernels of cpu_product.h where this
// processor has them.
#pragma once

#include <ATen/core/Tensor.h>

namespace muster {

// out [M, N] = a [M, K] b [K, N], + bias [N] where it is defined. packed_b: by PackRightFactor, or undefined.
void MultiplyInto(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias, at::Tensor& out,
                  const at::Tensor& packed_b = {});
// out += a b.
void AddProductTo(const at::Tensor& a, const at::Tensor& b, at::Tensor& out);

// A copy of `b` that makes repeated products with it cheaper, valid while `b` does not change. Products with the copy run on
// the kernels of cpu_product.h on every processor that has AVX-512; without it they run on MKL where UsesOwnProducts() is
// false, which rounds differently. Undefined if products of this type on this processor need no copy.
at::Tensor PackRightFactor(const at::Tensor& b);

// Computes either with the kernels of cpu_product.h, whose requirements on processor, type and strides must be met.
void RunOwnProduct(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias, bool add, at::Tensor& out,
                   const at::Tensor& packed_b = {});
// PackRightFactor for them, on any processor that can run them.
at::Tensor PackForOwnProduct(const at::Tensor& b);

}  // namespace muster
