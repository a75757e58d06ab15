#include "worker/rank/model/attention.h"

#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/_softmax.h>
#include <ATen/ops/_softmax_backward_data.h>
#include <ATen/ops/baddbmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/stack.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

namespace muster {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Elements of one buffer of probabilities: on the CPU it stays in a cache, on a GPU it fills the device.
constexpr int64_t kProbabilitiesAtOnceCpu = int64_t{1} << 20, kProbabilitiesAtOnceGpu = int64_t{1} << 26;

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

at::ScalarType LseType(const at::Tensor& qkv) {
  return qkv.scalar_type() == at::kBFloat16 ? at::kFloat : qkv.scalar_type();
}

// Runs cut so that their probabilities, [count, heads, length, length], stay within a buffer.
std::vector<Run> CutRuns(const std::vector<Run>& runs, int64_t heads, at::Device device) {
  const int64_t buffer = device.is_cpu() ? kProbabilitiesAtOnceCpu : kProbabilitiesAtOnceGpu;
  std::vector<Run> pieces;
  for (const Run& run : runs) {
    const int64_t at_once = std::max<int64_t>(1, buffer / (heads * run.length * run.length));
    for (int64_t done = 0; done < run.count; done += at_once) {
      pieces.push_back({.first_row = run.first_row + done * run.length,
                        .first_sequence = run.first_sequence + done,
                        .count = std::min(at_once, run.count - done),
                        .length = run.length});
    }
  }
  return pieces;
}

// The CPU's, without dropout.
struct FlashAttention : torch::autograd::Function<FlashAttention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& qkv, int64_t heads,
                            const SequencePlanPtr& plan) {
    at::Tensor out = at::empty({qkv.size(0), qkv.size(1) / 3}, qkv.options());
    at::Tensor lse = at::empty({qkv.size(0), heads}, qkv.options().dtype(LseType(qkv)));
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

// A GPU's in bfloat16, without dropout: the whole batch at once. Its backward is deterministic where
// at::globalContext() asks for that, as LoadCuda() has it.
struct VarlenFlashAttention : torch::autograd::Function<VarlenFlashAttention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& qkv, int64_t heads,
                            const SequencePlanPtr& plan) {
    const at::Tensor parts = Parts(qkv, heads), ends = plan->device_first_rows_int32;
    const auto [out, lse, random_state, unused, mask] =
        at::_flash_attention_forward(parts.select(1, 0), parts.select(1, 1), parts.select(1, 2), ends, ends,
                                     plan->longest, plan->longest, /*dropout_p=*/0, /*is_causal=*/false,
                                     /*return_debug_mask=*/false);
    const at::Tensor rows = out.reshape({qkv.size(0), qkv.size(1) / 3});
    context->save_for_backward({qkv, rows, lse, ends, random_state, unused});
    context->saved_data["heads"] = heads;
    context->saved_data["longest"] = plan->longest;
    return rows;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &qkv = saved[0], &lse = saved[2], &ends = saved[3];
    const int64_t heads = context->saved_data["heads"].toInt(), longest = context->saved_data["longest"].toInt();
    const at::Tensor parts = Parts(qkv, heads);
    const std::vector<int64_t> shape = {qkv.size(0), heads, parts.size(3)};
    const auto [d_q, d_k, d_v] = at::_flash_attention_backward(
        gradients[0].contiguous().view(shape), parts.select(1, 0), parts.select(1, 1), parts.select(1, 2),
        saved[1].view(shape), lse, ends, ends, longest, longest, /*dropout_p=*/0, /*is_causal=*/false, saved[4],
        saved[5]);
    return {at::stack({d_q, d_k, d_v}, 1).view(qkv.sizes()), {}, {}};
  }

 private:
  // [T, 3, heads, d] of [T, 3 * hidden]; no copy.
  static at::Tensor Parts(const at::Tensor& qkv, int64_t heads) {
    return qkv.view({qkv.size(0), 3, heads, qkv.size(1) / 3 / heads});
  }
};

// Whether torch's flash attention takes heads of this size.
bool HasVarlenFlash(const at::Tensor& qkv, int64_t heads) {
  const int64_t d = qkv.size(1) / 3 / heads;
  return qkv.is_cuda() && qkv.scalar_type() == at::kBFloat16 && d % 8 == 0 && d <= 256;
}

// [count * heads, length, d], dense.
at::Tensor DenseHeads(const at::Tensor& rows, const Run& run, int64_t heads, int64_t which, int64_t parts) {
  const at::Tensor view = HeadsView(rows, run, heads, which, parts);
  return view.contiguous().view({run.count * heads, run.length, view.size(3)});
}

void StoreHeads(const at::Tensor& from, const Run& run, int64_t heads, int64_t which, int64_t parts, at::Tensor& to) {
  HeadsView(to, run, heads, which, parts).copy_(from.view({run.count, heads, run.length, from.size(2)}));
}

// alpha * a b^T of [n, L, d], as [n, L, L]. Of bfloat16 in float32: rounded to 8 bits, scores of 30 would be off by 0.1
// before the softmax. cuBLAS gives its float32 sums; the CPU's products of exact casts are the same numbers.
at::Tensor ScoreProducts(const at::Tensor& a, const at::Tensor& b, double alpha) {
  const bool mixed = a.scalar_type() == at::kBFloat16;
  const at::Tensor b_t = b.transpose(1, 2);
  if (mixed && a.is_cuda()) {
    const at::Tensor product = at::bmm(a, b_t, at::kFloat);
    return alpha == 1 ? product : product.mul_(alpha);
  }
  const at::Tensor left = mixed ? a.to(at::kFloat) : a, right = mixed ? b_t.to(at::kFloat) : b_t;
  if (alpha == 1) return at::bmm(left, right);
  const at::Tensor out = at::empty({a.size(0), a.size(1), b.size(1)}, left.options());
  return at::baddbmm(out, left, right, /*beta=*/0, alpha);
}

// softmax(Q K^T / sqrt(d)), [count * heads, length, length]; float32 of bfloat16.
at::Tensor Probabilities(const at::Tensor& q, const at::Tensor& k) {
  return at::_softmax(ScoreProducts(q, k, 1 / std::sqrt(q.size(2))), -1, false);
}

void MaskProbabilities(const at::Tensor& from, const Run& run, const DropoutRate& rate, int64_t layer,
                       const SequencePlan& plan, at::Tensor& to) {
  DropoutOpsOf(from.device().type()).MaskProbabilities(from, run, rate, layer, plan, to);
}

// On any device, with or without dropout. Scores, softmax and masks are float32 for bfloat16. Dropout never is the flash kernel's own, whose masks depend on the launch.
struct ExactAttention : torch::autograd::Function<ExactAttention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& qkv, int64_t heads, double probability,
                            int64_t layer, const SequencePlanPtr& plan) {
    const DropoutRate rate(probability);
    at::Tensor out = at::empty({qkv.size(0), qkv.size(1) / 3}, qkv.options());
    for (const Run& run : CutRuns(plan->runs, heads, qkv.device())) {
      at::Tensor p = Probabilities(DenseHeads(qkv, run, heads, 0, 3), DenseHeads(qkv, run, heads, 1, 3));
      if (rate.active()) MaskProbabilities(p, run, rate, layer, *plan, p);
      // As flash attention does, probabilities are rounded for the product with V alone.
      StoreHeads(at::bmm(p.to(qkv.scalar_type()), DenseHeads(qkv, run, heads, 2, 3)), run, heads, 0, 1, out);
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
    for (const Run& run : CutRuns(plan.runs, heads, qkv.device())) {
      const at::Tensor q = DenseHeads(qkv, run, heads, 0, 3), k = DenseHeads(qkv, run, heads, 1, 3),
                       v = DenseHeads(qkv, run, heads, 2, 3), d_o = DenseHeads(d_out, run, heads, 0, 1);
      const at::Tensor p = Probabilities(q, k);
      at::Tensor dropped = p;
      if (rate.active()) MaskProbabilities(p, run, rate, layer, plan, dropped = at::empty_like(p));
      StoreHeads(at::bmm(dropped.to(q.scalar_type()).transpose(1, 2), d_o), run, heads, 2, 3, d_qkv);
      at::Tensor d_p = ScoreProducts(d_o, v, /*alpha=*/1);
      if (rate.active()) MaskProbabilities(d_p, run, rate, layer, plan, d_p);
      const at::Tensor d_scores = at::_softmax_backward_data(d_p, p, -1, p.scalar_type()).to(q.scalar_type());
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
  if (!dropout.active() && rows.is_cpu()) return FlashAttention::apply(rows, heads, plan);
  if (!dropout.active() && HasVarlenFlash(rows, heads)) return VarlenFlashAttention::apply(rows, heads, plan);
  return ExactAttention::apply(rows, heads, dropout.threshold / 65536.0, layer, plan);
}

}  // namespace muster
