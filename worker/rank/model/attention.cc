#include "worker/rank/model/attention.h"

#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/_softmax.h>
#include <ATen/ops/_softmax_backward_data.h>
#include <ATen/ops/baddbmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

namespace muster {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kProbabilitiesAtOnce = int64_t{1} << 20;  // elements of one buffer of probabilities

// The part `which` (of `parts` side by side in a row) of a run, as [count, heads, length, d]; no copy.
at::Tensor HeadsView(const at::Tensor& rows, const Run& run, int64_t heads, int64_t which, int64_t parts) {
  const int64_t width = rows.size(1), hidden = width / parts, d = hidden / heads;
  return rows.as_strided({run.count, heads, run.length, d}, {run.length * width, d, width, 1},
                         rows.storage_offset() + run.first_row * width + which * hidden);
}

// [T, heads] (one log-sum-exp a row and head) of a run, as [count, heads, length]; no copy.
at::Tensor LseView(const at::Tensor& lse, const Run& run) {
  const int64_t heads = lse.size(1);
  return lse.as_strided({run.count, heads, run.length}, {run.length * heads, 1, heads},
                        lse.storage_offset() + run.first_row * heads);
}

// Runs cut so that their probabilities, [count, heads, length, length], stay within a buffer that fits a cache.
std::vector<Run> CutRuns(const std::vector<Run>& runs, int64_t heads) {
  std::vector<Run> pieces;
  for (const Run& run : runs) {
    const int64_t at_once = std::max<int64_t>(1, kProbabilitiesAtOnce / (heads * run.length * run.length));
    for (int64_t done = 0; done < run.count; done += at_once) {
      pieces.push_back({.first_row = run.first_row + done * run.length,
                        .first_sequence = run.first_sequence + done,
                        .count = std::min(at_once, run.count - done),
                        .length = run.length});
    }
  }
  return pieces;
}

struct FlashAttention : torch::autograd::Function<FlashAttention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& qkv, int64_t heads,
                            const SequencePlanPtr& plan) {
    at::Tensor out = at::empty({qkv.size(0), qkv.size(1) / 3}, qkv.options());
    at::Tensor lse = at::empty({qkv.size(0), heads}, qkv.options());
    for (const Run& run : plan->runs) {
      auto [o, l] = at::_scaled_dot_product_flash_attention_for_cpu(
          HeadsView(qkv, run, heads, 0, 3), HeadsView(qkv, run, heads, 1, 3), HeadsView(qkv, run, heads, 2, 3));
      HeadsView(out, run, heads, 0, 1).copy_(o);
      LseView(lse, run).copy_(l);
    }
    context->save_for_backward({qkv, out, lse});
    context->saved_data["heads"] = heads;
    context->saved_data["plan"] = c10::IValue::make_capsule(plan);
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &qkv = saved[0], &out = saved[1], &lse = saved[2], d_out = gradients[0].contiguous();
    const int64_t heads = context->saved_data["heads"].toInt();
    const auto capsule = context->saved_data["plan"].toCapsule();
    at::Tensor d_qkv = at::empty_like(qkv);
    for (const Run& run : static_cast<const SequencePlan&>(*capsule).runs) {
      auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
          HeadsView(d_out, run, heads, 0, 1), HeadsView(qkv, run, heads, 0, 3), HeadsView(qkv, run, heads, 1, 3),
          HeadsView(qkv, run, heads, 2, 3), HeadsView(out, run, heads, 0, 1), LseView(lse, run), /*dropout_p=*/0,
          /*is_causal=*/false);
      HeadsView(d_qkv, run, heads, 0, 3).copy_(dq);
      HeadsView(d_qkv, run, heads, 1, 3).copy_(dk);
      HeadsView(d_qkv, run, heads, 2, 3).copy_(dv);
    }
    return {d_qkv, {}, {}};
  }
};

// [count * heads, length, d], dense.
at::Tensor DenseHeads(const at::Tensor& rows, const Run& run, int64_t heads, int64_t which, int64_t parts) {
  const at::Tensor view = HeadsView(rows, run, heads, which, parts);
  return view.contiguous().view({run.count * heads, run.length, view.size(3)});
}

void StoreHeads(const at::Tensor& from, const Run& run, int64_t heads, int64_t which, int64_t parts, at::Tensor& to) {
  HeadsView(to, run, heads, which, parts).copy_(from.view({run.count, heads, run.length, from.size(2)}));
}

// softmax(Q K^T / sqrt(d)), [count * heads, length, length].
at::Tensor Probabilities(const at::Tensor& q, const at::Tensor& k) {
  const at::Tensor scores = at::empty({q.size(0), q.size(1), q.size(1)}, q.options());
  return at::_softmax(at::baddbmm(scores, q, k.transpose(1, 2), /*beta=*/0, 1 / std::sqrt(q.size(2))), -1, false);
}

void MaskProbabilities(const at::Tensor& from, const Run& run, const DropoutRate& rate, int64_t layer,
                       const SequencePlan& plan, at::Tensor& to) {
  DropoutOpsOf(from.device().type()).MaskProbabilities(from, run, rate, layer, plan, to);
}

struct DropoutAttention : torch::autograd::Function<DropoutAttention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& qkv, int64_t heads, double probability,
                            int64_t layer, const SequencePlanPtr& plan) {
    const DropoutRate rate(probability);
    at::Tensor out = at::empty({qkv.size(0), qkv.size(1) / 3}, qkv.options());
    for (const Run& run : CutRuns(plan->runs, heads)) {
      at::Tensor p = Probabilities(DenseHeads(qkv, run, heads, 0, 3), DenseHeads(qkv, run, heads, 1, 3));
      MaskProbabilities(p, run, rate, layer, *plan, p);
      StoreHeads(at::bmm(p, DenseHeads(qkv, run, heads, 2, 3)), run, heads, 0, 1, out);
    }
    context->save_for_backward({qkv});
    context->saved_data["heads"] = heads;
    context->saved_data["probability"] = probability;
    context->saved_data["layer"] = layer;
    context->saved_data["plan"] = c10::IValue::make_capsule(plan);
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const at::Tensor qkv = context->get_saved_variables()[0], d_out = gradients[0].contiguous();
    const int64_t heads = context->saved_data["heads"].toInt(), layer = context->saved_data["layer"].toInt();
    const DropoutRate rate(context->saved_data["probability"].toDouble());
    const auto capsule = context->saved_data["plan"].toCapsule();
    const auto& plan = static_cast<const SequencePlan&>(*capsule);
    at::Tensor d_qkv = at::empty_like(qkv);
    for (const Run& run : CutRuns(plan.runs, heads)) {
      const at::Tensor q = DenseHeads(qkv, run, heads, 0, 3), k = DenseHeads(qkv, run, heads, 1, 3),
                       v = DenseHeads(qkv, run, heads, 2, 3), d_o = DenseHeads(d_out, run, heads, 0, 1);
      const at::Tensor p = Probabilities(q, k);
      at::Tensor dropped = at::empty_like(p);
      MaskProbabilities(p, run, rate, layer, plan, dropped);
      StoreHeads(at::bmm(dropped.transpose(1, 2), d_o), run, heads, 2, 3, d_qkv);
      at::Tensor d_p = at::bmm(d_o, v.transpose(1, 2));
      MaskProbabilities(d_p, run, rate, layer, plan, d_p);
      const at::Tensor d_scores = at::_softmax_backward_data(d_p, p, -1, p.scalar_type());
      const double scale = 1 / std::sqrt(q.size(2));
      StoreHeads(at::baddbmm(at::empty_like(q), d_scores, k, 0, scale), run, heads, 0, 3, d_qkv);
      StoreHeads(at::baddbmm(at::empty_like(q), d_scores.transpose(1, 2), q, 0, scale), run, heads, 1, 3, d_qkv);
    }
    return {d_qkv, {}, {}, {}, {}};
  }
};

}  // namespace

at::Tensor PackedAttention(const at::Tensor& qkv, int64_t heads, const DropoutRate& dropout, int64_t layer,
                           const SequencePlanPtr& plan) {
  const at::Tensor rows = qkv.contiguous();
  if (!dropout.active()) return FlashAttention::apply(rows, heads, plan);
  return DropoutAttention::apply(rows, heads, dropout.threshold / 65536.0, layer, plan);
}

}  // namespace muster
