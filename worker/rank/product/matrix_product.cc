#include "worker/rank/product/matrix_product.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/record_function.h>

#include "worker/rank/product/cpu_product.h"

namespace muster {
namespace {

bool IsDense(const at::Tensor& matrix) { return matrix.stride(0) == 1 || matrix.stride(1) == 1; }

// `packed`: the copy of `b` exists, which only our kernels can read.
bool IsOwn(const at::Tensor& a, const at::Tensor& b, const at::Tensor& out, bool packed) {
  return out.is_cpu() && out.scalar_type() == at::kFloat && out.numel() > 0 && a.size(1) > 0 && out.stride(1) == 1 &&
         IsDense(a) && IsDense(b) && (packed || UsesOwnProducts());
}

Matrix MatrixOf(const at::Tensor& tensor) {
  return {tensor.const_data_ptr<float>(), tensor.stride(0), tensor.stride(1)};
}

}  // namespace

at::Tensor PackForOwnProduct(const at::Tensor& b) {
  at::Tensor packed = at::empty({PackedRightFactorSize(b.size(0), b.size(1))}, at::kFloat);
  PackRightFactor(MatrixOf(b), b.size(0), b.size(1), packed.mutable_data_ptr<float>());
  return packed;
}

at::Tensor PackRightFactor(const at::Tensor& b) {
  const bool used = b.is_cpu() && b.scalar_type() == at::kFloat && b.numel() > 0 && IsDense(b) && CanRunOwnProducts();
  return used ? PackForOwnProduct(b) : at::Tensor();
}

void RunOwnProduct(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias, bool add, at::Tensor& out,
                   const at::Tensor& packed_b) {
  RECORD_FUNCTION("muster::Product", std::vector<c10::IValue>({a, b}));
  const ProductJob job{.rows = out.size(0),
                       .columns = out.size(1),
                       .depth = a.size(1),
                       .a = MatrixOf(a),
                       .b = MatrixOf(b),
                       .packed_b = packed_b.defined() ? packed_b.const_data_ptr<float>() : nullptr,
                       .bias = bias.defined() ? bias.const_data_ptr<float>() : nullptr,
                       .add = add,
                       .out = out.mutable_data_ptr<float>(),
                       .out_row = out.stride(0)};
  OwnProduct(job);
}

void MultiplyInto(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias, at::Tensor& out,
                  const at::Tensor& packed_b) {
  if (IsOwn(a, b, out, packed_b.defined())) return RunOwnProduct(a, b, bias, /*add=*/false, out, packed_b);
  if (bias.defined()) {
    at::addmm_out(out, bias, a, b);
  } else {
    at::mm_out(out, a, b);
  }
}

void AddProductTo(const at::Tensor& a, const at::Tensor& b, at::Tensor& out) {
  if (IsOwn(a, b, out, /*packed=*/false)) return RunOwnProduct(a, b, {}, /*add=*/true, out);
  out.addmm_(a, b);
}

}  // namespace muster
