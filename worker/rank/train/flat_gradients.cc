#include "worker/rank/train/flat_gradients.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

namespace muster {
namespace {

constexpr int64_t kAlignment = 64, kBucketBytes = int64_t{32} << 20;

}  // namespace

FlatGradients::FlatGradients(std::span<const Parameter> parameters) {
  const at::NoGradGuard no_gradient;
  const at::TensorOptions like = parameters.front().value.options().requires_grad(false);
  const int64_t width = parameters.front().value.element_size(), step = kAlignment / width;
  int64_t total = 0;
  for (const Parameter& parameter : parameters) total += (parameter.value.numel() + step - 1) / step * step;
  flat_ = at::zeros({total}, like);
  int64_t first = 0;
  for (const Parameter& parameter : parameters) {
    views_.push_back(flat_.narrow(0, first, parameter.value.numel()).view(parameter.value.sizes()));
    first += (parameter.value.numel() + step - 1) / step * step;
  }
  for (int64_t done = 0; done < total; done += kBucketBytes / width) {
    buckets_.push_back(flat_.narrow(0, done, std::min(kBucketBytes / width, total - done)));
  }
}

double FlatGradients::Norm() const {
  return at::linalg_vector_norm(flat_, 2, at::OptionalIntArrayRef(), false, at::kDouble).item<double>();
}

void FlatGradients::Scale(double factor) { flat_.mul_(factor); }

FlatGradients::Collecting::Collecting(FlatGradients& gradients, std::span<Parameter> parameters)
    : parameters_(parameters) {
  gradients.flat_.zero_();
  for (size_t i = 0; i < parameters_.size(); ++i) parameters_[i].value.mutable_grad() = gradients.views_[i];
}

FlatGradients::Collecting::~Collecting() {
  for (Parameter& parameter : parameters_) parameter.value.mutable_grad() = at::Tensor();
}

}  // namespace muster
