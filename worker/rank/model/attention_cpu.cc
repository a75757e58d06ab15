// Attention on the CPU: one task per sequence and head of keys and values, each taken by the next free thread. No result
// depends on which thread ran a task.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "worker/rank/model/attention_heads.h"
#include "worker/rank/model/attention_layout.h"
#include "worker/rank/model/attention_ops.h"

namespace muster {
namespace {

// Products of a task are about 4 * L^2 * d multiplications: below this another thread costs more than it saves.
constexpr int64_t kWorkPerThread = int64_t{1} << 20;

// Working memory of the thread, kept for the next call.
char* WorkOfThread(int64_t bytes) {
  struct Free {
    void operator()(char* memory) const { std::free(memory); }
  };
  thread_local std::unique_ptr<char, Free> memory;
  thread_local int64_t size = 0;
  if (size < bytes) {
    memory.reset();
    size = (bytes + 4095) / 4096 * 4096;
    memory.reset(static_cast<char*>(std::aligned_alloc(64, size)));
    if (memory == nullptr) throw std::bad_alloc();
  }
  return memory.get();
}

// Calls attend(sequence, head of keys and values, work) for every task of a plan.
template <typename Attend>
void ForTasks(const SequencePlan& plan, const AttentionLayout& layout, const Attend& attend) {
  const int64_t heads = layout.key_value_heads, tasks = static_cast<int64_t>(plan.lengths.size()) * heads;
  int64_t products = 0;
  for (const int64_t length : plan.lengths) products += 4 * length * length * layout.d * layout.heads;
  const int64_t threads = std::clamp<int64_t>(products / kWorkPerThread, 1, at::get_num_threads());
  // Sequences ascend in length, so start with the last: then the tasks at the end, for which threads wait, are short. If there
  // are enough sequences, a thread takes all heads of a sequence at once.
  const int64_t each = tasks >= 8 * threads * heads ? heads : 1;
  std::atomic<int64_t> next = 0;
  const int64_t bytes = AttentionWorkBytes(plan.longest, layout.d);
  at::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    if (begin == end) return;
    char* work = WorkOfThread(bytes);
    for (int64_t done = next.fetch_add(each); done < tasks; done = next.fetch_add(each)) {
      for (int64_t i = done; i < std::min(done + each, tasks); ++i) {
        attend(static_cast<int64_t>(plan.lengths.size()) - 1 - i / heads, i % heads, work);
      }
    }
  });
}

// Row h of `biases` is column h of the form's, padded for vectors.
at::Tensor BiasByHead(const AttentionForm& form, int64_t longest) {
  at::Tensor biases = at::zeros({form.heads, BiasWidth(longest)}, form.distance_bias.options().requires_grad(false));
  biases.narrow(1, 0, 2 * longest - 1).copy_(form.distance_bias.detach().t());
  return biases;
}

AttentionCall CallOf(const at::Tensor& qkv, const AttentionForm& form, const AttentionMask& mask,
                     const SequencePlan& plan, const AttentionLayout& layout, const at::Tensor& biases) {
  return {.bfloat16 = qkv.scalar_type() == at::kBFloat16,
          .rows = qkv.size(0),
          .heads = layout.heads,
          .key_value_heads = layout.key_value_heads,
          .d = layout.d,
          .causal = form.causal,
          .window = form.window,
          .longest = plan.longest,
          .threshold = mask.rate.threshold,
          .scale = static_cast<float>(mask.rate.scale),
          .bias = biases.defined() ? biases.const_data_ptr<float>() : nullptr,
          .qkv = qkv.const_data_ptr()};
}

AttentionTask TaskOf(const SequencePlan& plan, const AttentionMask& mask, int64_t sequence, int64_t head) {
  return {.first_row = plan.first_rows[sequence],
          .length = plan.lengths[sequence],
          .key_value_head = head,
          .mask_key = mask.rate.active()
                          ? DropoutKey(plan.keys[sequence], {mask.layer, DropoutSite::kProbabilities})
                          : 0};
}

// Gradients of the bias per sequence and head of queries, so that they are added in the plan's order.
class BiasGradients {
 public:
  BiasGradients(const SequencePlan& plan, const AttentionLayout& layout) : plan_(plan), layout_(layout) {
    int64_t size = 0;
    for (const int64_t length : plan.lengths) {
      begins_.push_back(size);
      size += layout.heads * BiasWidth(length);
    }
    parts_ = at::zeros({size}, at::kFloat);
  }

  float* Of(int64_t sequence, int64_t key_value_head) {
    const int64_t sharing = layout_.heads / layout_.key_value_heads;
    return parts_.mutable_data_ptr<float>() + begins_[sequence] +
           key_value_head * sharing * BiasWidth(plan_.lengths[sequence]);
  }

  // [2 * longest - 1, heads]
  at::Tensor Sum() const {
    at::Tensor sum = at::zeros({2 * plan_.longest - 1, layout_.heads}, at::kFloat);
    float* to = sum.mutable_data_ptr<float>();
    const float* parts = parts_.const_data_ptr<float>();
    at::parallel_for(0, layout_.heads, 1, [&](int64_t first, int64_t last) {
      for (size_t s = 0; s < begins_.size(); ++s) {
        const int64_t length = plan_.lengths[s];
        for (int64_t head = first; head < last; ++head) {
          const float* from = parts + begins_[s] + head * BiasWidth(length);
          float* place = to + (plan_.longest - length) * layout_.heads + head;
          for (int64_t i = 0; i < 2 * length - 1; ++i) place[i * layout_.heads] += from[i];
        }
      }
    });
    return sum;
  }

 private:
  const SequencePlan& plan_;
  const AttentionLayout& layout_;
  std::vector<int64_t> begins_;
  at::Tensor parts_;
};

class Cpu final : public AttentionOps {
 public:
  bool Takes(const at::Tensor& qkv, const AttentionForm&, const AttentionMask&, const SequencePlan&) const override {
    return qkv.is_cpu() && (qkv.scalar_type() == at::kFloat || qkv.scalar_type() == at::kBFloat16);
  }

  AttentionResult Forward(const at::Tensor& qkv, const AttentionForm& form, const AttentionMask& mask,
                          const SequencePlan& plan) const override {
    const AttentionLayout layout(qkv, form);
    const at::Tensor biases = form.distance_bias.defined() ? BiasByHead(form, plan.longest) : at::Tensor();
    AttentionResult result{.out = at::empty({qkv.size(0), layout.out_width()}, qkv.options().requires_grad(false)),
                           .lse = form.backward ? at::empty({layout.heads, qkv.size(0)}, at::kFloat) : at::Tensor()};
    AttentionCall call = CallOf(qkv, form, mask, plan, layout, biases);
    call.out = result.out.mutable_data_ptr();
    call.lse = form.backward ? result.lse.mutable_data_ptr<float>() : nullptr;
    ForTasks(plan, layout, [&](int64_t sequence, int64_t head, char* work) {
      AttendHead(call, TaskOf(plan, mask, sequence, head), work);
    });
    return result;
  }

  AttentionGradients Backward(const at::Tensor& d_out, const at::Tensor& qkv, const AttentionResult& result,
                              const AttentionForm& form, const AttentionMask& mask,
                              const SequencePlan& plan) const override {
    const AttentionLayout layout(qkv, form);
    const bool biased = form.distance_bias.defined();
    const at::Tensor biases = biased ? BiasByHead(form, plan.longest) : at::Tensor();
    AttentionGradients gradients{.qkv = at::empty_like(qkv)};
    std::unique_ptr<BiasGradients> d_bias;
    if (biased) d_bias = std::make_unique<BiasGradients>(plan, layout);
    AttentionCall call = CallOf(qkv, form, mask, plan, layout, biases);
    call.out = result.out.data_ptr();
    call.lse = result.lse.data_ptr<float>();
    call.d_out = d_out.const_data_ptr();
    call.d_qkv = gradients.qkv.mutable_data_ptr();
    ForTasks(plan, layout, [&](int64_t sequence, int64_t head, char* work) {
      AttentionTask task = TaskOf(plan, mask, sequence, head);
      if (biased) task.d_bias = d_bias->Of(sequence, head);
      AttendHeadBackward(call, task, work);
    });
    if (biased) gradients.distance_bias = d_bias->Sum();
    return gradients;
  }
};

}  // namespace

const AttentionOps& CpuAttentionOps() {
  static const Cpu ops;
  return ops;
}

}  // namespace muster
