#include "worker/rank/model/attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/_softmax.h>
#include <ATen/ops/_softmax_backward_data.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/baddbmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

namespace muster {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Elements of one buffer of probabilities: on the CPU it stays in a cache, on a GPU it fills the device.
constexpr int64_t kProbabilitiesAtOnceCpu = int64_t{1} << 20, kProbabilitiesAtOnceGpu = int64_t{1} << 26;

// Where the heads of queries, keys and values lie in a row.
struct Layout {
  Layout(const at::Tensor& qkv, const AttentionForm& form)
      : heads(form.heads), key_value_heads(form.KeyValueHeads()), d(qkv.size(1) / (heads + 2 * key_value_heads)) {
    TORCH_CHECK(d * (heads + 2 * key_value_heads) == qkv.size(1) && heads % key_value_heads == 0, "attention: rows of ",
                qkv.size(1), " numbers for ", heads, " heads and ", key_value_heads, " of keys and values");
  }
  int64_t heads, key_value_heads, d;
  int64_t keys() const { return heads * d; }  // first column
  int64_t values() const { return (heads + key_value_heads) * d; }
  int64_t out_width() const { return heads * d; }
};

// `heads` heads of d numbers from a column on, of a run, as [count, heads, length, d]; no copy.
at::Tensor HeadsView(const at::Tensor& rows, const Run& run, int64_t column, int64_t heads, int64_t d) {
  const int64_t width = rows.size(1);
  return rows.as_strided({run.count, heads, run.length, d}, {run.length * width, d, width, 1},
                         rows.storage_offset() + run.first_row * width + column);
}

at::Tensor QueryView(const at::Tensor& rows, const Run& run, const Layout& layout) {
  return HeadsView(rows, run, 0, layout.heads, layout.d);
}

// Keys or values as [count, heads, length, d]; a copy where several heads share them.
at::Tensor SharedView(const at::Tensor& rows, const Run& run, const Layout& layout, int64_t column) {
  const at::Tensor view = HeadsView(rows, run, column, layout.key_value_heads, layout.d);
  const int64_t sharing = layout.heads / layout.key_value_heads;
  if (sharing == 1) return view;
  return view.unsqueeze(2)
      .expand({run.count, layout.key_value_heads, sharing, run.length, layout.d})
      .reshape({run.count, layout.heads, run.length, layout.d});
}

void StoreQueries(const at::Tensor& from, const Run& run, const Layout& layout, at::Tensor& to) {
  QueryView(to, run, layout).copy_(from.view({run.count, layout.heads, run.length, layout.d}));
}

// The gradient of keys or values, summed over the heads that share them.
void StoreShared(const at::Tensor& from, const Run& run, const Layout& layout, int64_t column, at::Tensor& to) {
  const int64_t sharing = layout.heads / layout.key_value_heads;
  at::Tensor each = from.view({run.count, layout.heads, run.length, layout.d});
  if (sharing > 1) {
    each = each.view({run.count, layout.key_value_heads, sharing, run.length, layout.d}).sum(2);
  }
  HeadsView(to, run, column, layout.key_value_heads, layout.d).copy_(each);
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

void SaveForm(AutogradContext* context, const AttentionForm& form) {
  context->saved_data["heads"] = form.heads;
  context->saved_data["key_value_heads"] = form.key_value_heads;
  context->saved_data["causal"] = form.causal;
  context->saved_data["window"] = form.window;
}

AttentionForm SavedForm(AutogradContext* context) {
  return {.heads = context->saved_data["heads"].toInt(),
          .key_value_heads = context->saved_data["key_value_heads"].toInt(),
          .causal = context->saved_data["causal"].toBool(),
          .window = context->saved_data["window"].toInt()};
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

// The CPU's, without dropout, bias or window.
struct FlashAttention : torch::autograd::Function<FlashAttention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& qkv, const AttentionForm& form,
                            const SequencePlanPtr& plan) {
    const Layout layout(qkv, form);
    at::Tensor out = at::empty({qkv.size(0), layout.out_width()}, qkv.options());
    at::Tensor lse = at::empty({qkv.size(0), layout.heads}, qkv.options().dtype(LseType(qkv)));
    for (const Run& run : plan->runs) {
      auto [o, l] = at::_scaled_dot_product_flash_attention_for_cpu(
          QueryView(qkv, run, layout), SharedView(qkv, run, layout, layout.keys()),
          SharedView(qkv, run, layout, layout.values()), /*dropout_p=*/0, form.causal);
      QueryView(out, run, layout).copy_(o);
      LseView(lse, run).copy_(l);
    }
    context->save_for_backward({qkv, out, lse});
    SaveForm(context, form);
    context->saved_data["plan"] = c10::IValue::make_capsule(plan);
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &qkv = saved[0], &out = saved[1], &lse = saved[2], d_out = gradients[0].contiguous();
    const AttentionForm form = SavedForm(context);
    const Layout layout(qkv, form);
    const auto capsule = context->saved_data["plan"].toCapsule();
    at::Tensor d_qkv = at::empty_like(qkv);
    for (const Run& run : static_cast<const SequencePlan&>(*capsule).runs) {
      auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
          QueryView(d_out, run, layout), QueryView(qkv, run, layout), SharedView(qkv, run, layout, layout.keys()),
          SharedView(qkv, run, layout, layout.values()), QueryView(out, run, layout), LseView(lse, run),
          /*dropout_p=*/0, form.causal);
      StoreFlash(dq, run, layout, 0, d_qkv);
      StoreFlash(dk, run, layout, layout.keys(), d_qkv);
      StoreFlash(dv, run, layout, layout.values(), d_qkv);
    }
    return {d_qkv, {}, {}};
  }

 private:
  // The kernel's gradients are no dense tensors of this shape: no view of them.
  static void StoreFlash(const at::Tensor& from, const Run& run, const Layout& layout, int64_t column, at::Tensor& to) {
    if (column == 0 || layout.heads == layout.key_value_heads) {
      HeadsView(to, run, column, layout.heads, layout.d).copy_(from);
    } else {
      StoreShared(from.contiguous(), run, layout, column, to);
    }
  }
};

// A GPU's in bfloat16, without dropout or bias: the whole batch at once. Its backward is deterministic where
// at::globalContext() asks for that, as LoadCuda() has it.
struct VarlenFlashAttention : torch::autograd::Function<VarlenFlashAttention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& qkv, const AttentionForm& form,
                            const SequencePlanPtr& plan) {
    const Layout layout(qkv, form);
    const at::Tensor ends = plan->device_first_rows_int32;
    const std::optional<int64_t> window = WindowOf(form);
    const auto [out, lse, random_state, unused, mask] = at::_flash_attention_forward(
        Part(qkv, layout, 0), Part(qkv, layout, layout.keys()), Part(qkv, layout, layout.values()), ends, ends,
        plan->longest, plan->longest, /*dropout_p=*/0, form.causal, /*return_debug_mask=*/false,
        /*scale=*/std::nullopt, window, window);
    const at::Tensor rows = out.reshape({qkv.size(0), layout.out_width()});
    context->save_for_backward({qkv, rows, lse, ends, random_state, unused});
    SaveForm(context, form);
    context->saved_data["longest"] = plan->longest;
    return rows;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &qkv = saved[0], &lse = saved[2], &ends = saved[3];
    const AttentionForm form = SavedForm(context);
    const Layout layout(qkv, form);
    const int64_t longest = context->saved_data["longest"].toInt();
    const std::vector<int64_t> shape = {qkv.size(0), layout.heads, layout.d};
    const std::optional<int64_t> window = WindowOf(form);
    const auto [d_q, d_k, d_v] = at::_flash_attention_backward(
        gradients[0].contiguous().view(shape), Part(qkv, layout, 0), Part(qkv, layout, layout.keys()),
        Part(qkv, layout, layout.values()), saved[1].view(shape), lse, ends, ends, longest, longest, /*dropout_p=*/0,
        form.causal, saved[4], saved[5], /*scale=*/std::nullopt, window, window);
    return {at::cat({d_q, d_k, d_v}, 1).view(qkv.sizes()), {}, {}};
  }

 private:
  // Queries, keys or values as [T, their heads, d]; no copy.
  static at::Tensor Part(const at::Tensor& qkv, const Layout& layout, int64_t column) {
    const int64_t heads = column == 0 ? layout.heads : layout.key_value_heads;
    return qkv.narrow(1, column, heads * layout.d).view({qkv.size(0), heads, layout.d});
  }
  // To both sides; a causal kernel closes the right one itself.
  static std::optional<int64_t> WindowOf(const AttentionForm& form) {
    return form.window > 0 ? std::optional(form.window) : std::nullopt;
  }
};

// Whether torch's flash attention takes heads of this size.
bool HasVarlenFlash(const at::Tensor& qkv, const AttentionForm& form) {
  const int64_t d = Layout(qkv, form).d;
  return qkv.is_cuda() && qkv.scalar_type() == at::kBFloat16 && d % 8 == 0 && d <= 256;
}

// [count * heads, length, d], dense.
at::Tensor Dense(const at::Tensor& view) {
  return view.contiguous().view({view.size(0) * view.size(1), view.size(2), view.size(3)});
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

// Row of AttentionForm::distance_bias for each query and key of a sequence of `length`: int64 [length * length].
at::Tensor DistanceRows(int64_t length, int64_t longest, at::Device device) {
  const at::Tensor place = at::arange(length, at::TensorOptions().dtype(at::kLong).device(device));
  return (place.unsqueeze(0) - place.unsqueeze(1) + (longest - 1)).view({length * length});
}

// Whether a query does not see a key: bool [length, length]. Undefined: it sees all.
at::Tensor Hidden(const AttentionForm& form, int64_t length, at::Device device) {
  const bool cut = form.window > 0 && length - 1 > form.window;
  if (!cut && !form.causal) return {};
  const at::Tensor place = at::arange(length, at::TensorOptions().dtype(at::kLong).device(device));
  const at::Tensor ahead = place.unsqueeze(0) - place.unsqueeze(1);  // key - query
  if (!cut) return ahead.gt(0);
  const at::Tensor far = ahead.abs().gt(form.window);
  return form.causal ? far.logical_or(ahead.gt(0)) : far;
}

// softmax(Q K^T / sqrt(d) + bias), [count * heads, length, length]; float32 of bfloat16.
at::Tensor Probabilities(const at::Tensor& q, const at::Tensor& k, const Run& run, const AttentionForm& form,
                         int64_t longest) {
  at::Tensor scores = ScoreProducts(q, k, 1 / std::sqrt(q.size(2)));
  if (form.distance_bias.defined()) {
    const at::Tensor bias = form.distance_bias.t().index_select(1, DistanceRows(run.length, longest, q.device()));
    scores.view({run.count, form.heads, run.length * run.length}).add_(bias);
  }
  const at::Tensor hidden = Hidden(form, run.length, q.device());
  if (hidden.defined()) scores.masked_fill_(hidden, -std::numeric_limits<double>::infinity());
  return at::_softmax(scores, -1, false);
}

void MaskProbabilities(const at::Tensor& from, const Run& run, const DropoutRate& rate, int64_t layer,
                       const SequencePlan& plan, at::Tensor& to) {
  DropoutOpsOf(from.device().type()).MaskProbabilities(from, run, rate, layer, plan, to);
}

// On any device, in every form. Scores, softmax and masks are float32 for bfloat16. Dropout never is the flash kernel's
// own, whose masks depend on the launch.
struct ExactAttention : torch::autograd::Function<ExactAttention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& qkv, const std::optional<at::Tensor>& bias,
                            const AttentionForm& form, double probability, int64_t layer,
                            const SequencePlanPtr& plan) {
    const DropoutRate rate(probability);
    const Layout layout(qkv, form);
    at::Tensor out = at::empty({qkv.size(0), layout.out_width()}, qkv.options());
    for (const Run& run : CutRuns(plan->runs, layout.heads, qkv.device())) {
      at::Tensor p = Probabilities(Dense(QueryView(qkv, run, layout)),
                                   Dense(SharedView(qkv, run, layout, layout.keys())), run, form, plan->longest);
      if (rate.active()) MaskProbabilities(p, run, rate, layer, *plan, p);
      // As flash attention does, probabilities are rounded for the product with V alone.
      StoreQueries(at::bmm(p.to(qkv.scalar_type()), Dense(SharedView(qkv, run, layout, layout.values()))), run, layout,
                   out);
    }
    context->save_for_backward({qkv, bias.value_or(at::Tensor())});
    SaveForm(context, form);
    context->saved_data["probability"] = probability;
    context->saved_data["layer"] = layer;
    context->saved_data["plan"] = c10::IValue::make_capsule(plan);
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &qkv = saved[0], d_out = gradients[0].contiguous();
    AttentionForm form = SavedForm(context);
    form.distance_bias = saved[1];
    const Layout layout(qkv, form);
    const int64_t layer = context->saved_data["layer"].toInt();
    const DropoutRate rate(context->saved_data["probability"].toDouble());
    const auto capsule = context->saved_data["plan"].toCapsule();
    const auto& plan = static_cast<const SequencePlan&>(*capsule);
    at::Tensor d_qkv = at::empty_like(qkv), d_bias;
    if (form.distance_bias.defined()) d_bias = at::zeros_like(form.distance_bias);
    for (const Run& run : CutRuns(plan.runs, layout.heads, qkv.device())) {
      const at::Tensor q = Dense(QueryView(qkv, run, layout)), k = Dense(SharedView(qkv, run, layout, layout.keys())),
                       v = Dense(SharedView(qkv, run, layout, layout.values())),
                       d_o = Dense(QueryView(d_out, run, layout));
      const at::Tensor p = Probabilities(q, k, run, form, plan.longest);
      at::Tensor dropped = p;
      if (rate.active()) MaskProbabilities(p, run, rate, layer, plan, dropped = at::empty_like(p));
      StoreShared(at::bmm(dropped.to(q.scalar_type()).transpose(1, 2), d_o), run, layout, layout.values(), d_qkv);
      at::Tensor d_p = ScoreProducts(d_o, v, /*alpha=*/1);
      if (rate.active()) MaskProbabilities(d_p, run, rate, layer, plan, d_p);
      const at::Tensor d_exact = at::_softmax_backward_data(d_p, p, -1, p.scalar_type());
      if (d_bias.defined()) {
        const at::Tensor sum = d_exact.view({run.count, form.heads, run.length * run.length}).sum(0);
        d_bias.index_add_(0, DistanceRows(run.length, plan.longest, q.device()), sum.t());
      }
      const at::Tensor d_scores = d_exact.to(q.scalar_type());
      const double scale = 1 / std::sqrt(q.size(2));
      StoreQueries(at::baddbmm(at::empty_like(q), d_scores, k, 0, scale), run, layout, d_qkv);
      StoreShared(at::baddbmm(at::empty_like(q), d_scores.transpose(1, 2), q, 0, scale), run, layout, layout.keys(),
                  d_qkv);
    }
    return {d_qkv, d_bias, {}, {}, {}, {}};
  }
};

}  // namespace

at::Tensor PackedAttention(const at::Tensor& qkv, const AttentionForm& form, const DropoutRate& dropout, int64_t layer,
                           const SequencePlanPtr& plan) {
  const at::Tensor rows = qkv.contiguous();
  const bool plain = !dropout.active() && !form.distance_bias.defined();
  const bool windowed = form.window > 0 && plan->longest - 1 > form.window;
  if (plain && !windowed && rows.is_cpu()) return FlashAttention::apply(rows, form, plan);
  if (plain && HasVarlenFlash(rows, form)) return VarlenFlashAttention::apply(rows, form, plan);
  const auto bias = form.distance_bias.defined() ? std::optional(form.distance_bias) : std::nullopt;
  return ExactAttention::apply(rows, bias, form, dropout.threshold / 65536.0, layer, plan);
}

}  // namespace muster
