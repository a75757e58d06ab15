#include "worker/rank/model/layer_segment.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <utility>

namespace muster {
namespace {

at::ScalarType ParameterType(const at::Tensor& rows) {
  return rows.scalar_type() == at::kBFloat16 ? at::kFloat : rows.scalar_type();
}

// Mean and 1 / deviation of each row.
at::Tensor EmptyStatistics(const at::Tensor& rows) {
  return at::empty({rows.size(0), 2}, rows.options().dtype(ParameterType(rows)));
}

at::Tensor BiasOf(const Linear& linear) { return linear.masters.size() == 1 ? linear.masters[0].bias : at::Tensor(); }

const EncoderOps& OpsOf(const at::Tensor& tensor) { return EncoderOpsOf(tensor.device().type()); }

void AppendNorm(const Norm& norm, ParameterLists& parameters) {
  parameters.Append(norm.weight);
  parameters.Append(norm.bias);
}

NormGradients GradientsOf(const Norm& norm, const at::Tensor& product_bias, ParameterGradients& gradients) {
  return {.weight = gradients.For(norm.weight),
          .bias = gradients.For(norm.bias),
          .product_bias = gradients.For(product_bias)};
}

// Without dropout, the gradient of AddNorm's product is the gradient of the sum.
at::Tensor EmptyProductGradient(const RowMask& mask, const at::Tensor& d_sum) {
  return mask.active() ? at::empty_like(d_sum) : at::Tensor();
}

// Weights and biases of `next`.
void AddProductGradients(const Linear& next, const at::Tensor& normed, const at::Tensor& d_product,
                         ParameterGradients& gradients) {
  AddBiasGradients(next, d_product, gradients);
  AddWeightGradients(next, normed, d_product, gradients);
}

}  // namespace

// ---- EmbeddingSegment

ParameterLists EmbeddingSegment::Parameters() const {
  ParameterLists parameters;
  for (const at::Tensor& table : {words, positions, types}) parameters.Append(table);
  AppendNorm(norm, parameters);
  AppendNorm(next_norm, parameters);
  next.AppendParameters(parameters);
  return parameters;
}

EmbeddingTables EmbeddingSegment::TablesFor(const SegmentCall& call) const {
  return {.words = words,
          .tokens = call.tokens,
          .position_table = positions,
          .positions = call.positions,
          .type_row = types.defined() ? types.select(0, 0) : at::Tensor()};
}

bool EmbeddingSegment::IsTrained() const { return words.requires_grad(); }

std::vector<at::Tensor> EmbeddingSegment::Forward(const std::vector<at::Tensor>&, const SegmentCall& call,
                                                  std::vector<at::Tensor>& kept) const {
  const at::TensorOptions options = words.options().requires_grad(false);
  const EncoderOps& ops = OpsOf(words);
  at::Tensor x = at::empty({call.plan->rows, words.size(1)}, bfloat16 ? options.dtype(at::kBFloat16) : options);
  at::Tensor statistics = norm.weight.defined() ? EmptyStatistics(x) : at::Tensor();
  ops.EmbedNorm(TablesFor(call), norm, {call.hidden, {0, DropoutSite::kEmbeddings}}, *call.plan, statistics, x);
  at::Tensor normed = x, next_statistics;
  if (next_norm.weight.defined()) {
    normed = at::empty_like(x);
    next_statistics = EmptyStatistics(x);
    ops.AddNorm(x, {}, {}, next_norm, {DropoutRate(0), DropoutPlace()}, *call.plan, x, next_statistics, normed);
  }
  kept = {x, statistics, next_statistics};
  return {x, MultiplyAddBias(next, normed)};
}

std::vector<at::Tensor> EmbeddingSegment::Backward(const std::vector<at::Tensor>& d_outputs, const SegmentCall& call,
                                                   const std::vector<at::Tensor>& kept, const std::vector<bool>&,
                                                   ParameterGradients& gradients) const {
  const EncoderOps& ops = OpsOf(words);
  const at::Tensor &x = kept[0], &statistics = kept[1], &next_statistics = kept[2];
  at::Tensor d_x = d_outputs[0].contiguous(), normed = x;
  const at::Tensor d_next = d_outputs[1].contiguous();
  if (next_norm.weight.defined()) {
    at::Tensor d_normed = InputGradient(next, d_next), unused;
    normed = at::empty_like(x);
    ops.AddNormBackward(d_normed, d_x, x, next_statistics, next_norm, {DropoutRate(0), DropoutPlace()}, *call.plan, d_x,
                        unused, GradientsOf(next_norm, {}, gradients), normed);
  } else if (IsTrained()) {
    AddInputGradient(next, d_next, d_x);
  }
  AddProductGradients(next, normed, d_next, gradients);
  if (!IsTrained()) return {};
  at::Tensor d_sum = at::empty({x.size(0), x.size(1)}, words.options().requires_grad(false));
  NormGradients sums = GradientsOf(norm, {}, gradients);
  if (const at::Tensor d_types = gradients.For(types); d_types.defined()) sums.product_bias = d_types.select(0, 0);
  ops.EmbedNormBackward(d_x, TablesFor(call), norm, {call.hidden, {0, DropoutSite::kEmbeddings}}, *call.plan,
                        statistics, d_sum, sums);
  at::Tensor d_words = gradients.For(words), d_positions = gradients.For(positions);
  ops.AddToRows(d_sum, call.tokens, d_words);
  if (d_positions.defined()) ops.AddToRows(d_sum, call.positions, d_positions);
  return {};
}

// ---- LayerSegment

ParameterLists LayerSegment::Parameters() const {
  ParameterLists parameters;
  for (const Linear* linear : {&attention_output, &inner, &output, &next}) linear->AppendParameters(parameters);
  AppendNorm(norm1, parameters);
  AppendNorm(norm2, parameters);
  return parameters;
}

bool LayerSegment::IsTrained() const {
  ParameterLists own;
  for (const Linear* linear : {&attention_output, &inner, &output}) linear->AppendParameters(own);
  AppendNorm(norm1, own);
  return std::ranges::any_of(own.all, [](const at::Tensor& parameter) { return parameter.requires_grad(); });
}

LayerSegment::Masks LayerSegment::MasksFor(const SegmentCall& call) const {
  const DropoutPlace after_attention{index, DropoutSite::kAttentionOutput},
      in_feed_forward{index, DropoutSite::kFeedForward};
  const DropoutRate none(0);
  return {.attention_output = {drops_inside ? call.attention : call.hidden, after_attention},
          .inside = {drops_inside ? call.hidden : none, in_feed_forward},
          .output = {drops_inside ? none : call.hidden, in_feed_forward}};
}

std::vector<at::Tensor> LayerSegment::Forward(const std::vector<at::Tensor>& inputs, const SegmentCall& call,
                                              std::vector<at::Tensor>& kept) const {
  const at::Tensor &context = inputs[0], &x = inputs[1];
  const EncoderOps& ops = OpsOf(x);
  const SequencePlan& plan = *call.plan;
  const Masks masks = MasksFor(call);
  at::Tensor sum1 = Multiply(attention_output, context), normed1 = at::empty_like(sum1),
             statistics1 = EmptyStatistics(x), statistics2 = EmptyStatistics(x);
  ops.AddNorm(sum1, BiasOf(attention_output), x, norm1, masks.attention_output, plan, sum1, statistics1, normed1);
  at::Tensor before = Multiply(inner, normed1);
  at::Tensor inside =
      call.keeps || gated ? at::empty({x.size(0), before.size(1) / (gated ? 2 : 1)}, before.options()) : before;
  ops.Activate(before, BiasOf(inner), activation, gated, masks.inside, plan, inside);
  if (!call.keeps) before.reset();
  at::Tensor sum2 = Multiply(output, inside), normed2 = at::empty_like(sum2);
  inside.reset();
  ops.AddNorm(sum2, BiasOf(output), pre_norm ? sum1 : normed1, norm2, masks.output, plan, sum2, statistics2, normed2);
  if (call.keeps) kept = {context, sum1, statistics1, before, sum2, statistics2};
  if (IsLast()) return {normed2};
  return {pre_norm ? sum2 : normed2, MultiplyAddBias(next, normed2)};
}

std::vector<at::Tensor> LayerSegment::Backward(const std::vector<at::Tensor>& d_outputs, const SegmentCall& call,
                                               const std::vector<at::Tensor>& kept, const std::vector<bool>& wanted,
                                               ParameterGradients& gradients) const {
  const at::Tensor &context = kept[0], &sum1 = kept[1], &statistics1 = kept[2], &before = kept[3], &sum2 = kept[4],
                   &statistics2 = kept[5];
  const EncoderOps& ops = OpsOf(sum1);
  const SequencePlan& plan = *call.plan;
  const Masks masks = MasksFor(call);

  // The gradient of normed2, overwritten by that of sum2, and the gradient that reaches sum2 past its norm.
  at::Tensor d_sum2 = d_outputs[0].contiguous(), d_next, past_norm2, normed2;
  if (!IsLast()) {
    d_next = d_outputs[1].contiguous();
    normed2 = at::empty_like(sum2);
    if (pre_norm) {
      past_norm2 = std::exchange(d_sum2, InputGradient(next, d_next));
    } else {
      AddInputGradient(next, d_next, d_sum2);
    }
  }
  at::Tensor d_product = EmptyProductGradient(masks.output, d_sum2);
  ops.AddNormBackward(d_sum2, past_norm2, sum2, statistics2, norm2, masks.output, plan, d_sum2, d_product,
                      GradientsOf(norm2, BiasOf(output), gradients), normed2);
  past_norm2.reset();
  if (!IsLast()) AddProductGradients(next, normed2, d_next, gradients);
  normed2.reset();
  if (!wanted[0] && !wanted[1] && !IsTrained()) return {at::Tensor(), at::Tensor()};
  if (!d_product.defined()) d_product = d_sum2;

  at::Tensor d_inside = InputGradient(output, d_product), inside = at::empty_like(d_inside),
             d_before = gated ? at::empty_like(before) : d_inside;
  ops.ActivateBackward(d_inside, before, BiasOf(inner), activation, gated, masks.inside, plan, d_before,
                       gradients.For(BiasOf(inner)), inside);
  AddWeightGradients(output, inside, d_product, gradients);
  inside.reset();
  d_product.reset();

  at::Tensor d_sum1 = d_sum2, past_norm1, normed1 = at::empty_like(sum1);
  if (pre_norm) {
    past_norm1 = std::exchange(d_sum1, InputGradient(inner, d_before));
  } else {
    AddInputGradient(inner, d_before, d_sum1);
  }
  d_product = EmptyProductGradient(masks.attention_output, d_sum1);
  ops.AddNormBackward(d_sum1, past_norm1, sum1, statistics1, norm1, masks.attention_output, plan, d_sum1, d_product,
                      GradientsOf(norm1, BiasOf(attention_output), gradients), normed1);
  AddWeightGradients(inner, normed1, d_before, gradients);
  normed1.reset();
  if (!d_product.defined()) d_product = d_sum1;
  AddWeightGradients(attention_output, context, d_product, gradients);
  return {wanted[0] ? InputGradient(attention_output, d_product) : at::Tensor(), d_sum1};
}

std::vector<Linear*> Segments::NewProducts() {
  embeddings = c10::make_intrusive<EmbeddingSegment>(*embeddings);
  std::vector<Linear*> products = {&embeddings->next};
  for (c10::intrusive_ptr<LayerSegment>& layer : layers) {
    layer = c10::make_intrusive<LayerSegment>(*layer);
    products.insert(products.end(), {&layer->attention_output, &layer->inner, &layer->output});
    if (!layer->next.masters.empty()) products.push_back(&layer->next);
  }
  return products;
}

}  // namespace muster
