// The destination to which a hand-written backward adds the gradients of parameters.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

namespace muster {

// Serves one call of a backward, on its thread. Under torch::autograd::backward() a parameter that has a gradient (of
// FlatGradients) is added to directly: neither a temporary nor a second pass over it. Under grad(), which asks for
// separate gradients, or if there is none yet, sums are returned to autograd. In both cases autograd's node for the parameter
// runs (in the first with nothing to add), so that its hooks run when the gradient is complete.
class ParameterGradients {
 public:
  // `parameters` outlive this.
  explicit ParameterGradients(std::span<const at::Tensor> parameters);

  // The tensor to add the gradient of `parameter` (one of the parameters) to. Undefined if `parameter` is undefined or
  // not trained.
  at::Tensor For(const at::Tensor& parameter);
  // The gradients that autograd must add, in the parameters' order; undefined where there are none.
  std::vector<at::Tensor> Returned() const { return sums_; }

 private:
  const std::span<const at::Tensor> parameters_;
  bool direct_ = false;
  std::vector<at::Tensor> sums_;
};

}  // namespace muster
