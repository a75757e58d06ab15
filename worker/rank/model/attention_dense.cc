// Attention as products of dense tensors, one set of products per length in the batch: for any device and form. Scores, softmax
// and masks are float32 for bfloat16. Probabilities are computed again in the backward, a few megabytes at a time.
#include <ATen/TensorOperators.h>
#include <ATen/ops/_softmax.h>
#include <ATen/ops/_softmax_backward_data.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/baddbmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "worker/rank/model/attention_layout.h"
#include "worker/rank/model/attention_ops.h"

namespace muster {
namespace {

// Elements of one buffer of probabilities: small enough for the CPU's cache, large enough to keep a GPU busy.
constexpr int64_t kProbabilitiesAtOnceCpu = int64_t{1} << 20, kProbabilitiesAtOnceGpu = int64_t{1} << 26;

// `heads` heads of d numbers from a column on, of a run, as [count, heads, length, d]; no copy.
at::Tensor HeadsView(const at::Tensor& rows, const Run& run, int64_t column, int64_t heads, int64_t d) {
  const int64_t width = rows.size(1);
  return rows.as_strided({run.count, heads, run.length, d}, {run.length * width, d, width, 1},
                         rows.storage_offset() + run.first_row * width + column);
}

at::Tensor QueryView(const at::Tensor& rows, const Run& run, const AttentionLayout& layout) {
  return HeadsView(rows, run, 0, layout.heads, layout.d);
}

// Keys or values as [count, heads, length, d]; a copy where several heads share them.
at::Tensor SharedView(const at::Tensor& rows, const Run& run, const AttentionLayout& layout, int64_t column) {
  const at::Tensor view = HeadsView(rows, run, column, layout.key_value_heads, layout.d);
  const int64_t sharing = layout.heads / layout.key_value_heads;
  if (sharing == 1) return view;
  return view.unsqueeze(2)
      .expand({run.count, layout.key_value_heads, sharing, run.length, layout.d})
      .reshape({run.count, layout.heads, run.length, layout.d});
}

void StoreQueries(const at::Tensor& from, const Run& run, const AttentionLayout& layout, at::Tensor& to) {
  QueryView(to, run, layout).copy_(from.view({run.count, layout.heads, run.length, layout.d}));
}

// The gradient of keys or values, summed over the heads that share them.
void StoreShared(const at::Tensor& from, const Run& run, const AttentionLayout& layout, int64_t column, at::Tensor& to) {
  const int64_t sharing = layout.heads / layout.key_value_heads;
  at::Tensor each = from.view({run.count, layout.heads, run.length, layout.d});
  if (sharing > 1) {
    each = each.view({run.count, layout.key_value_heads, sharing, run.length, layout.d}).sum(2);
  }
  HeadsView(to, run, column, layout.key_value_heads, layout.d).copy_(each);
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

// [count * heads, length, d], dense.
at::Tensor Contiguous(const at::Tensor& view) {
  return view.contiguous().view({view.size(0) * view.size(1), view.size(2), view.size(3)});
}

// alpha * a b^T: [n, L, d] to [n, L, L], in float32 also for bfloat16 inputs. Rounded to bfloat16, scores of 30 would be
// off by 0.1 before the softmax. cuBLAS returns its float32 sums; the CPU casts exactly, and multiplies the same numbers.
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

void MaskProbabilities(const at::Tensor& from, const Run& run, const AttentionMask& mask, const SequencePlan& plan,
                       at::Tensor& to) {
  DropoutOpsOf(from.device().type()).MaskProbabilities(from, run, mask.rate, mask.layer, plan, to);
}

class Dense final : public AttentionOps {
 public:
  bool Takes(const at::Tensor&, const AttentionForm&, const AttentionMask&, const SequencePlan&) const override {
    return true;
  }

  AttentionResult Forward(const at::Tensor& qkv, const AttentionForm& form, const AttentionMask& mask,
                          const SequencePlan& plan) const override {
    const AttentionLayout layout(qkv, form);
    at::Tensor out = at::empty({qkv.size(0), layout.out_width()}, qkv.options());
    for (const Run& run : CutRuns(plan.runs, layout.heads, qkv.device())) {
      at::Tensor p = Probabilities(Contiguous(QueryView(qkv, run, layout)),
                                   Contiguous(SharedView(qkv, run, layout, layout.keys())), run, form, plan.longest);
      if (mask.rate.active()) MaskProbabilities(p, run, mask, plan, p);
      // As in flash attention, probabilities are rounded only for the product with V.
      StoreQueries(at::bmm(p.to(qkv.scalar_type()), Contiguous(SharedView(qkv, run, layout, layout.values()))), run,
                   layout, out);
    }
    return {.out = out};
  }

  AttentionGradients Backward(const at::Tensor& d_out, const at::Tensor& qkv, const AttentionResult&,
                              const AttentionForm& form, const AttentionMask& mask,
                              const SequencePlan& plan) const override {
    const AttentionLayout layout(qkv, form);
    AttentionGradients gradients{.qkv = at::empty_like(qkv)};
    if (form.distance_bias.defined()) gradients.distance_bias = at::zeros_like(form.distance_bias);
    for (const Run& run : CutRuns(plan.runs, layout.heads, qkv.device())) {
      BackwardOfRun(d_out, qkv, run, layout, form, mask, plan, gradients);
    }
    return gradients;
  }

 private:
  static void BackwardOfRun(const at::Tensor& d_out, const at::Tensor& qkv, const Run& run,
                            const AttentionLayout& layout, const AttentionForm& form, const AttentionMask& mask,
                            const SequencePlan& plan, AttentionGradients& gradients) {
    const at::Tensor q = Contiguous(QueryView(qkv, run, layout)),
                     k = Contiguous(SharedView(qkv, run, layout, layout.keys())),
                     v = Contiguous(SharedView(qkv, run, layout, layout.values())),
                     d_o = Contiguous(QueryView(d_out, run, layout));
    const at::Tensor p = Probabilities(q, k, run, form, plan.longest);
    at::Tensor dropped = p;
    if (mask.rate.active()) MaskProbabilities(p, run, mask, plan, dropped = at::empty_like(p));
    StoreShared(at::bmm(dropped.to(q.scalar_type()).transpose(1, 2), d_o), run, layout, layout.values(),
                gradients.qkv);
    at::Tensor d_p = ScoreProducts(d_o, v, /*alpha=*/1);
    if (mask.rate.active()) MaskProbabilities(d_p, run, mask, plan, d_p);
    const at::Tensor d_exact = at::_softmax_backward_data(d_p, p, -1, p.scalar_type());
    if (form.distance_bias.defined()) {
      const at::Tensor sum = d_exact.view({run.count, form.heads, run.length * run.length}).sum(0);
      gradients.distance_bias.index_add_(0, DistanceRows(run.length, plan.longest, q.device()), sum.t());
    }
    const at::Tensor d_scores = d_exact.to(q.scalar_type());
    const double scale = 1 / std::sqrt(q.size(2));
    StoreQueries(at::baddbmm(at::empty_like(q), d_scores, k, 0, scale), run, layout, gradients.qkv);
    StoreShared(at::baddbmm(at::empty_like(q), d_scores.transpose(1, 2), q, 0, scale), run, layout, layout.keys(),
                gradients.qkv);
  }
};

}  // namespace

const AttentionOps& DenseAttentionOps() {
  static const Dense ops;
  return ops;
}

}  // namespace muster
