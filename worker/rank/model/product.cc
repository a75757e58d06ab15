#include "worker/rank/model/product.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include "worker/rank/model/encoder_ops.h"
#include "worker/rank/product/matrix_product.h"

namespace muster {
namespace {

bool IsCast(const Linear& linear) { return linear.cast.weight.defined(); }

// Calls operation(master, adapter or null, first column, columns) for each master.
template <typename Operation>
void ForMasters(const Linear& linear, const Operation& operation) {
  int64_t first = 0;
  for (size_t i = 0; i < linear.masters.size(); ++i) {
    const int64_t columns = linear.masters[i].weight.size(0);
    const bool adapted = !linear.adapters.empty() && linear.adapters[i].down.defined();
    operation(linear.masters[i], adapted ? &linear.adapters[i] : nullptr, first, columns);
    first += columns;
  }
}

const at::Tensor& DownOf(const Linear::Adapter& adapter) {
  return adapter.down_cast.defined() ? adapter.down_cast : adapter.down;
}
const at::Tensor& UpOf(const Linear::Adapter& adapter) {
  return adapter.up_cast.defined() ? adapter.up_cast : adapter.up;
}

// gradient += alpha * d_out^T x, in the type of the gradient. cuBLAS keeps its float32 sums of bfloat16; oneDNN rounds
// them first.
void AddTransposedProduct(const at::Tensor& d_out, const at::Tensor& x, double alpha, at::Tensor gradient) {
  if (!gradient.defined()) return;
  if (gradient.scalar_type() == x.scalar_type() && alpha == 1) {
    AddProductTo(d_out.t(), x, gradient);
  } else if (gradient.scalar_type() == x.scalar_type()) {
    gradient.addmm_(d_out.t(), x, /*beta=*/1, alpha);
  } else if (x.is_cuda()) {
    at::addmm_out(gradient, gradient, d_out.t(), x, gradient.scalar_type(), /*beta=*/1, alpha);
  } else {
    gradient.add_(at::mm(d_out.t(), x), alpha);
  }
}

at::Tensor Product(const Linear& linear, const at::Tensor& x, bool bias) {
  at::Tensor out;
  if (IsCast(linear)) {
    const at::Tensor weight = linear.cast.weight.t();
    out = bias && linear.cast.bias.defined() ? at::addmm(linear.cast.bias, x, weight) : at::mm(x, weight);
  } else {
    out = at::empty({x.size(0), linear.OutputSize()}, x.options());
  }
  auto packed = linear.packed.begin();
  ForMasters(linear, [&](const Affine& master, const Linear::Adapter* adapter, int64_t first, int64_t columns) {
    at::Tensor part = out.narrow(1, first, columns);
    if (!IsCast(linear)) {
      MultiplyInto(x, master.weight.t(), bias ? master.bias : at::Tensor(), part,
                   linear.packed.empty() ? at::Tensor() : *packed++);
    }
    if (adapter != nullptr) part.addmm_(at::mm(x, DownOf(*adapter).t()), UpOf(*adapter).t(), 1, linear.scale);
  });
  return out;
}

// Adds the gradient of x to d_x; with `overwrite`, the first product overwrites d_x.
void InputProduct(const Linear& linear, const at::Tensor& d_out, bool overwrite, at::Tensor& d_x) {
  const auto add = [&](const at::Tensor& d, const at::Tensor& weight) {
    if (overwrite) {
      MultiplyInto(d, weight, {}, d_x);
    } else {
      AddProductTo(d, weight, d_x);
    }
    overwrite = false;
  };
  if (IsCast(linear)) add(d_out, linear.cast.weight);
  ForMasters(linear, [&](const Affine& master, const Linear::Adapter* adapter, int64_t first, int64_t columns) {
    const at::Tensor part = d_out.narrow(1, first, columns);
    if (!IsCast(linear)) add(part, master.weight);
    if (adapter != nullptr) add(at::mm(part, UpOf(*adapter)).mul_(linear.scale), DownOf(*adapter));
  });
}

}  // namespace

int64_t Linear::OutputSize() const {
  int64_t size = 0;
  for (const Affine& master : masters) size += master.weight.size(0);
  return size;
}

void Linear::AppendParameters(ParameterLists& parameters) const {
  const bool read = !IsCast(*this);
  for (const Affine& master : masters) {
    parameters.Append(master.weight, read);
    parameters.Append(master.bias);
  }
  for (const Adapter& adapter : adapters) {
    parameters.Append(adapter.down, read);
    parameters.Append(adapter.up, read);
  }
}

void RefreshCast(Linear& linear) {
  const at::NoGradGuard no_grad;
  // Fixed weights are cast once.
  if (!linear.cast.weight.defined() || linear.masters[0].weight.requires_grad()) {
    linear.cast = CastJoined(linear.masters);
  }
  for (Linear::Adapter& adapter : linear.adapters) {
    if (!adapter.down.defined()) continue;
    adapter.down_cast = adapter.down.to(at::kBFloat16);
    adapter.up_cast = adapter.up.to(at::kBFloat16);
  }
}

void PackWeights(Linear& linear) {
  linear.packed.clear();
  if (IsCast(linear)) return;
  for (const Affine& master : linear.masters) linear.packed.push_back(PackRightFactor(master.weight.t()));
}

at::Tensor Multiply(const Linear& linear, const at::Tensor& x) { return Product(linear, x, /*bias=*/false); }
at::Tensor MultiplyAddBias(const Linear& linear, const at::Tensor& x) { return Product(linear, x, /*bias=*/true); }

void AddWeightGradients(const Linear& linear, const at::Tensor& x, const at::Tensor& d_out,
                        ParameterGradients& gradients) {
  ForMasters(linear, [&](const Affine& master, const Linear::Adapter* adapter, int64_t first, int64_t columns) {
    const at::Tensor part = d_out.narrow(1, first, columns);
    AddTransposedProduct(part, x, 1, gradients.For(master.weight));
    if (adapter == nullptr) return;
    // The matrix between the two products of an adapter is narrow, so it is computed again instead of kept.
    AddTransposedProduct(part, at::mm(x, DownOf(*adapter).t()), linear.scale, gradients.For(adapter->up));
    AddTransposedProduct(at::mm(part, UpOf(*adapter)), x, linear.scale, gradients.For(adapter->down));
  });
}

at::Tensor InputGradient(const Linear& linear, const at::Tensor& d_out) {
  at::Tensor d_x = at::empty({d_out.size(0), linear.masters[0].weight.size(1)}, d_out.options());
  InputProduct(linear, d_out, /*overwrite=*/true, d_x);
  return d_x;
}

void AddInputGradient(const Linear& linear, const at::Tensor& d_out, at::Tensor& d_x) {
  InputProduct(linear, d_out, /*overwrite=*/false, d_x);
}

void AddBiasGradients(const Linear& linear, const at::Tensor& d_out, ParameterGradients& gradients) {
  std::vector<at::Tensor> sums;
  for (const Affine& master : linear.masters) {
    if (const at::Tensor sum = gradients.For(master.bias); sum.defined()) sums.push_back(sum);
  }
  if (!sums.empty()) EncoderOpsOf(d_out.device().type()).AddColumnSums(d_out, sums);
}

}  // namespace muster
