#include "worker/rank/model/mixed.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>

#include <vector>

namespace muster {

Affine CastJoined(std::span<const Affine> masters) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> weights, biases;
  for (const Affine& master : masters) {
    weights.push_back(master.weight.to(at::kBFloat16));
    if (master.bias.defined()) biases.push_back(master.bias.to(at::kBFloat16));
  }
  return {at::cat(weights), biases.empty() ? at::Tensor() : at::cat(biases)};
}

}  // namespace muster
