#include "worker/rank/loss/tile_products.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>

#include <algorithm>

#include "worker/rank/product/matrix_product.h"

namespace muster {
namespace {

constexpr int64_t kParts = 3;

// out <- beta * out + factor * a b. `a` and `b` may be bfloat16; sums have out's type.
void Multiply(const at::Tensor& a, const at::Tensor& b, double beta, double factor, at::Tensor& out) {
  const at::ScalarType type = out.scalar_type();
  if (out.is_cuda() && a.scalar_type() == b.scalar_type() && a.scalar_type() != type) {
    at::addmm_out(out, out, a, b, type, beta, factor);  // cuBLAS multiplies narrow numbers into float32 sums
    return;
  }
  const at::Tensor x = a.to(type), y = b.to(type);
  if (beta == 0) {
    MultiplyInto(factor == 1 ? x : x * factor, y, /*bias=*/{}, out);  // `a` is small compared with `out`
  } else if (beta == 1 && factor == 1) {
    AddProductTo(x, y, out);
  } else {
    out.addmm_(x, y, beta, factor);
  }
}

// Multiply for operands. Parts i and j together are 2^(-8 (i + j)) of the product: order 2 is the last that float32
// holds. The smallest come first, so that sums lose least.
void MultiplyOperands(const Operand& a, const Operand& b, double beta, double factor, at::Tensor& out) {
  if (a.parts().empty() || b.parts().empty()) return Multiply(a.whole(), b.whole(), beta, factor, out);
  const auto a_count = static_cast<int64_t>(a.parts().size()), b_count = static_cast<int64_t>(b.parts().size());
  for (int64_t order = kParts - 1; order >= 0; --order) {
    for (int64_t i = std::max<int64_t>(0, order - b_count + 1); i <= std::min(order, a_count - 1); ++i) {
      Multiply(a.parts()[i], b.parts()[order - i], beta, factor, out);
      beta = 1;
    }
  }
}

}  // namespace

Operand Operand::Split(const at::Tensor& matrix) {
  if (matrix.scalar_type() == at::kBFloat16) return Operand(matrix, {matrix});
  std::vector<at::Tensor> parts = {matrix.to(at::kBFloat16)};
  at::Tensor rest = matrix - parts[0];
  while (static_cast<int64_t>(parts.size()) < kParts) {
    parts.push_back(rest.to(at::kBFloat16));
    rest.sub_(parts.back());
  }
  return Operand(matrix, std::move(parts));
}

Operand Operand::Rows(int64_t first, int64_t count) const {
  std::vector<at::Tensor> parts;
  for (const at::Tensor& part : parts_) parts.push_back(part.narrow(0, first, count));
  return Operand(whole_.narrow(0, first, count), std::move(parts));
}

Operand Operand::Transposed() const {
  std::vector<at::Tensor> parts;
  for (const at::Tensor& part : parts_) parts.push_back(part.t());
  return Operand(whole_.t(), std::move(parts));
}

void Scores(const Operand& queries, const Operand& passages, double factor, at::Tensor& out) {
  MultiplyOperands(queries, passages.Transposed(), /*beta=*/0, factor, out);
}

void AddWeighted(const Operand& weights, const Operand& embeddings, at::Tensor out) {
  MultiplyOperands(weights, embeddings, /*beta=*/1, /*factor=*/1, out);
}

}  // namespace muster
