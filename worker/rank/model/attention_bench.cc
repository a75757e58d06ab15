// Compares attention on the CPU with torch's flash attention without dropout, alternating, forward and backward:
// muster-attention-bench [THREADS] [REPEATS].
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <vector>

#include "worker/rank/model/attention_ops.h"

namespace muster {
namespace {

struct Shape {
  const char* name;
  int64_t shortest, longest, tokens, heads, d;
};
constexpr Shape kShapes[] = {{"256 tokens, 12 heads of 32", 256, 256, 4096, 12, 32},
                             {"10 to 30 tokens, 12 heads of 32", 10, 30, 4096, 12, 32},
                             {"256 tokens, 12 heads of 64", 256, 256, 4096, 12, 64}};

struct Inputs {
  SequencePlanPtr plan;
  at::Tensor qkv, d_out;
  AttentionForm form;
};

Inputs Make(const Shape& shape) {
  std::mt19937_64 random(1);
  PackedBatch batch;
  int64_t total = 0;
  while (total < shape.tokens) {
    batch.lengths.push_back(shape.shortest + static_cast<int64_t>(random() % (shape.longest - shape.shortest + 1)));
    batch.slots.push_back(static_cast<uint32_t>(batch.slots.size()));
    total += batch.lengths.back();
  }
  std::ranges::sort(batch.lengths);
  batch.tokens = at::zeros({total}, at::kLong);
  return {MakeSequencePlan(batch, {.attention = 0.1, .seed = 1, .step = 1}),
          at::randn({total, 3 * shape.heads * shape.d}), at::randn({total, shape.heads * shape.d}),
          {.heads = shape.heads}};
}

// [count, heads, length, d] of a run, without a copy.
at::Tensor View(const at::Tensor& rows, const Run& run, const Shape& shape, int64_t part) {
  const int64_t width = rows.size(1);
  return rows.as_strided({run.count, shape.heads, run.length, shape.d}, {run.length * width, shape.d, width, 1},
                         run.first_row * width + part * shape.heads * shape.d);
}

// torch's fused attention for the CPU: one call for each length.
void TorchFlash(const Inputs& in, const Shape& shape) {
  at::Tensor out = at::empty_like(in.d_out), d_qkv = at::empty_like(in.qkv);
  for (const Run& run : in.plan->runs) {
    const at::Tensor q = View(in.qkv, run, shape, 0), k = View(in.qkv, run, shape, 1), v = View(in.qkv, run, shape, 2);
    const auto [o, lse] = at::_scaled_dot_product_flash_attention_for_cpu(q, k, v, 0, false);
    View(out, run, shape, 0).copy_(o);
    const auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
        View(in.d_out, run, shape, 0), q, k, v, View(out, run, shape, 0), lse, 0, false);
    View(d_qkv, run, shape, 0).copy_(dq);
    View(d_qkv, run, shape, 1).copy_(dk);
    View(d_qkv, run, shape, 2).copy_(dv);
  }
}

void Attend(const AttentionOps& ops, const Inputs& in, double probability) {
  const AttentionMask mask{DropoutRate(probability), 1};
  const AttentionResult result = ops.Forward(in.qkv, in.form, mask, *in.plan);
  ops.Backward(in.d_out, in.qkv, result, in.form, mask, *in.plan);
}

void Measure(const Shape& shape, int repeats) {
  using Clock = std::chrono::steady_clock;
  const Inputs in = Make(shape);
  const std::vector<std::function<void()>> forms = {
      [&] { TorchFlash(in, shape); }, [&] { Attend(CpuAttentionOps(), in, 0); }, [&] { Attend(CpuAttentionOps(), in, 0.1); },
      [&] { Attend(DenseAttentionOps(), in, 0.1); }};
  std::vector<std::vector<double>> seconds(forms.size());
  for (int turn = -1; turn < repeats; ++turn) {
    for (size_t i = 0; i < forms.size(); ++i) {
      const auto begin = Clock::now();
      forms[i]();
      if (turn >= 0) seconds[i].push_back(std::chrono::duration<double>(Clock::now() - begin).count());
    }
  }
  std::vector<double> medians;
  for (std::vector<double>& of : seconds) {
    std::ranges::sort(of);
    medians.push_back(of[of.size() / 2]);
  }
  std::printf("%s: torch's flash without dropout %.2f ms; own %.2f of it, with dropout 0.1 %.2f, dense with dropout %.2f\n",
              shape.name, 1e3 * medians[0], medians[1] / medians[0], medians[2] / medians[0], medians[3] / medians[0]);
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) {
  at::set_num_threads(argc > 1 ? std::atoi(argv[1]) : 1);
  for (const muster::Shape& shape : muster::kShapes) muster::Measure(shape, argc > 2 ? std::atoi(argv[2]) : 9);
}
