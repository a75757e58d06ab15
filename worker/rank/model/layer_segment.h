// The segments that encoders are made of: embeddings up to the first attention, and from each attention to the next.
#pragma once

#include <vector>

#include "worker/rank/model/segment.h"

namespace muster {

// Computes x from token ids, and the input of the first attention. Outputs: x [T, H] and the product of the `next` weights.
class EmbeddingSegment final : public Segment {
 public:
  at::Tensor words, positions, types;  // tables; the last two may be undefined
  Norm norm;                           // weight undefined: none
  Norm next_norm;                      // of what `next` takes; weight undefined: none
  Linear next;
  bool bfloat16 = false;

  ParameterLists Parameters() const override;
  std::vector<at::Tensor> Forward(const std::vector<at::Tensor>& inputs, const SegmentCall& call,
                                  std::vector<at::Tensor>& kept) const override;
  std::vector<at::Tensor> Backward(const std::vector<at::Tensor>& d_outputs, const SegmentCall& call,
                                   const std::vector<at::Tensor>& kept, const std::vector<bool>& wanted,
                                   ParameterGradients& gradients) const override;

 private:
  EmbeddingTables TablesFor(const SegmentCall& call) const;
  bool IsTrained() const;
};

// Computes x after a layer from x and the context of its attention, and the input of the next attention. Inputs: context, x.
// Outputs: x and the product of the `next` weights; for the last layer only its hidden states.
//   sum1 = x + dropout(attention_output context);   normed1 = norm1(sum1)
//   inside = dropout(f(inner normed1))               (gated: f(a) * b)
//   sum2 = (pre_norm ? sum1 : normed1) + dropout(output inside);   normed2 = norm2(sum2)
//   x = pre_norm ? sum2 : normed2;   next normed2
class LayerSegment final : public Segment {
 public:
  Linear attention_output, inner, output;
  Norm norm1, norm2;
  Linear next;  // no masters: this is the last layer
  Activation activation = Activation::kGelu;
  bool gated = false, pre_norm = false;
  int64_t index = 0;
  // ModernBERT's dropout sites: attention's output with attention's rate, and inside the feed-forward part instead of after
  // it.
  bool drops_inside = false;

  ParameterLists Parameters() const override;
  std::vector<at::Tensor> Forward(const std::vector<at::Tensor>& inputs, const SegmentCall& call,
                                  std::vector<at::Tensor>& kept) const override;
  std::vector<at::Tensor> Backward(const std::vector<at::Tensor>& d_outputs, const SegmentCall& call,
                                   const std::vector<at::Tensor>& kept, const std::vector<bool>& wanted,
                                   ParameterGradients& gradients) const override;

 private:
  struct Masks {
    RowMask attention_output, inside, output;
  };
  Masks MasksFor(const SegmentCall& call) const;
  bool IsLast() const { return next.masters.empty(); }
  // Whether something is trained that comes before `norm2`.
  bool IsTrained() const;
};

// The segments of an encoder.
struct Segments {
  c10::intrusive_ptr<EmbeddingSegment> embeddings = c10::make_intrusive<EmbeddingSegment>();
  std::vector<c10::intrusive_ptr<LayerSegment>> layers;

  // For Layers::Products(). Replaces all segments with copies first, so that kept graphs still hold the old ones.
  std::vector<Linear*> NewProducts();
};

}  // namespace muster
