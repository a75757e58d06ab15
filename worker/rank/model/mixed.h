// bfloat16 with float32 masters: products in bfloat16 over copies of the weights that are made once an update;
// LayerNorm, and every gradient of a parameter, in float32.
// Source of the scheme: Micikevicius et al., "Mixed precision training", ICLR 2018; bfloat16 needs no loss scale
// (Kalamkar et al., "A study of bfloat16 for deep learning training", 2019).
#pragma once

#include <ATen/core/Tensor.h>

#include <span>

namespace muster {

struct Affine {
  at::Tensor weight, bias;  // a bias may be undefined: there is none
};

// Weights and biases one below the other, as bfloat16, without a graph. All masters have biases, or none.
Affine CastJoined(std::span<const Affine> masters);

// x [T, in] bfloat16 times CastJoined(masters) → [T, sum of out] bfloat16. Differentiable in x and the masters, which
// all have the same shapes; their gradients are float32. `cast` is kept by reference, not copied, in each graph.
at::Tensor MixedLinear(const at::Tensor& x, std::span<const Affine> masters, const Affine& cast);

// LayerNorm over the last dimension of bfloat16 x: float32 inside, bfloat16 outside; keeps x as it is, not its copy.
at::Tensor MixedLayerNorm(const at::Tensor& x, const Affine& master, double epsilon);

}  // namespace muster
