// The computation of a family between token ids and pooling. One file per kind of layer; their common parts are in blocks.h.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "worker/rank/model/blocks.h"
#include "worker/rank/model/encoder.h"
#include "worker/rank/model/sequence_plan.h"

namespace muster {

class Layers {
 public:
  virtual ~Layers() = default;
  // The last hidden states [T, hidden_size] of a packed batch, with a graph where gradients are enabled.
  virtual at::Tensor Run(const at::Tensor& tokens, const Dropout& dropout, const SequencePlanPtr& plan) const = 0;
  // The products of the layers; the encoder updates their copies in other types and orders. Each call returns new products, so
  // those in kept graphs do not change.
  virtual std::vector<Linear*> Products() = 0;
};

// `config` outlives the layers. In bfloat16, activations are cast once, after the embeddings.
std::unique_ptr<Layers> MakeLayers(const EncoderConfig& config, const Weights& weights, bool bfloat16);

std::unique_ptr<Layers> MakePostNormLayers(const EncoderConfig& config, const Weights& weights, bool bfloat16);
std::unique_ptr<Layers> MakeModernBertLayers(const EncoderConfig& config, const Weights& weights, bool bfloat16);
std::unique_ptr<Layers> MakeQwen3Layers(const EncoderConfig& config, const Weights& weights, bool bfloat16);

}  // namespace muster
