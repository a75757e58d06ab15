#include "worker/rank/train/flat_gradients.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

#include "worker/rank/train/update_kernels.h"

namespace muster {
namespace {

constexpr int64_t kAlignment = 64;

at::Tensor NormInDouble(const at::Tensor& values) {
  return at::linalg_vector_norm(values, 2, at::OptionalIntArrayRef(), false, at::kDouble);
}

}  // namespace

FlatGradients::FlatGradients(std::span<const Parameter> parameters, int64_t bucket_bytes) {
  const at::NoGradGuard no_gradient;
  const at::TensorOptions like = parameters.front().value.options().requires_grad(false);
  const int64_t width = parameters.front().value.element_size(), step = kAlignment / width;
  const int64_t bucket = std::max(step, bucket_bytes / width);
  int64_t total = 0;
  for (const Parameter& parameter : parameters) total += (parameter.value.numel() + step - 1) / step * step;
  flat_ = at::zeros({total}, like);
  int64_t first = 0;
  for (const Parameter& parameter : parameters) {
    const int64_t size = parameter.value.numel();
    views_.push_back(flat_.narrow(0, first, size).view(parameter.value.sizes()));
    buckets_of_.emplace_back(first / bucket, (first + std::max<int64_t>(size, 1) - 1) / bucket);
    first += (size + step - 1) / step * step;
  }
  for (int64_t done = 0; done < total; done += bucket) {
    buckets_.push_back(flat_.narrow(0, done, std::min(bucket, total - done)));
  }
}

double FlatGradients::Norm() const {
  if (flat_.is_cpu()) {
    return std::sqrt(flat_.scalar_type() == at::kDouble ? SumOfSquares(flat_.const_data_ptr<double>(), flat_.numel())
                                                        : SumOfSquares(flat_.const_data_ptr<float>(), flat_.numel()));
  }
  // The norm is computed in float64 from a float64 copy, one bucket at a time, so that there is never a copy of all gradients.
  std::vector<at::Tensor> norms;
  for (const at::Tensor& bucket : buckets_) norms.push_back(NormInDouble(bucket));
  return NormInDouble(at::stack(norms)).item<double>();
}

FlatGradients::Collecting::Collecting(FlatGradients& gradients, std::span<Parameter> parameters)
    : parameters_(parameters) {
  gradients.flat_.zero_();
  for (size_t i = 0; i < parameters_.size(); ++i) parameters_[i].value.mutable_grad() = gradients.views_[i];
}

FlatGradients::Collecting::~Collecting() {
  for (Parameter& parameter : parameters_) parameter.value.mutable_grad() = at::Tensor();
}

}  // namespace muster
