// The computation between two attentions of an encoder, as one node of autograd's graph whose backward is written by
// hand. A layer is PackedAttention() and a segment, so its operations are the same for every batch and every device.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <vector>

#include "worker/rank/model/dropout.h"
#include "worker/rank/model/encoder_ops.h"
#include "worker/rank/model/parameter_gradients.h"
#include "worker/rank/model/product.h"
#include "worker/rank/model/sequence_plan.h"

namespace muster {

// Shared by all segments of one Encode.
struct SegmentCall : torch::CustomClassHolder {
  SequencePlanPtr plan;
  DropoutRate hidden{0}, attention{0};
  bool keeps = true;             // whether a Backward follows; if not, Forward may leave `kept` empty
  at::Tensor tokens, positions;  // int64 [T]; the second: rows of the table of positions, where there is one
};
using SegmentCallPtr = c10::intrusive_ptr<SegmentCall>;
// Reads the calling thread's grad mode, which must not change during Encode.
SegmentCallPtr MakeCall(const at::Tensor& tokens, const Dropout& dropout, const SequencePlanPtr& plan);

// Immutable after a graph refers to it: new bfloat16 copies of the weights belong to a new segment.
class Segment : public torch::CustomClassHolder {
 public:
  // The parameters that the backward adds gradients to. Those that it reads must not change before it, as autograd checks.
  virtual ParameterLists Parameters() const = 0;
  // Sets `kept` to the tensors that Backward needs, if there will be one: inputs, outputs and others. Builds no graph.
  virtual std::vector<at::Tensor> Forward(const std::vector<at::Tensor>& inputs, const SegmentCall& call,
                                          std::vector<at::Tensor>& kept) const = 0;
  // Computes the gradients of the inputs from those of the outputs, which it may overwrite. If `wanted` is false for an input,
  // its gradient may be undefined.
  virtual std::vector<at::Tensor> Backward(const std::vector<at::Tensor>& d_outputs, const SegmentCall& call,
                                           const std::vector<at::Tensor>& kept, const std::vector<bool>& wanted,
                                           ParameterGradients& gradients) const = 0;
};
using SegmentPtr = c10::intrusive_ptr<Segment>;

// Runs Forward. Builds a graph if gradients are enabled and an input or parameter requires one.
std::vector<at::Tensor> RunSegment(const SegmentPtr& segment, const std::vector<at::Tensor>& inputs,
                                   const SegmentCallPtr& call);

}  // namespace muster
