// bfloat16 with float32 masters: products in bfloat16 over copies of the weights made once per update;
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

}  // namespace muster
