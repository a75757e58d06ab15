#include "worker/rank/train/gradient_reduction.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include "common/status.h"

namespace muster {

// Runs after autograd's node that adds to a parameter's gradient. In a backward pass that node runs once, when all
// contributions have been added. It also runs if hand-written backwards (model/parameter_gradients.h) added all contributions
// themselves. A hook of the parameter would not run in that case.
struct GradientReduction::Hook final : torch::autograd::FunctionPostHook {
  Hook(GradientReduction& to, size_t index) : reduction(to), parameter(index) {}
  torch::autograd::variable_list operator()(const torch::autograd::variable_list& outputs,
                                            const torch::autograd::variable_list&) override {
    reduction.Ready(parameter);
    return outputs;
  }

  GradientReduction& reduction;
  const size_t parameter;
};

GradientReduction::GradientReduction(FlatGradients& gradients, std::span<Parameter> parameters, Group& group)
    : gradients_(gradients),
      parameters_(parameters),
      group_(group),
      ready_(parameters.size(), false),
      missing_(gradients.buckets().size(), 0) {
  for (size_t p = 0; p < parameters_.size(); ++p) {
    const auto [first, last] = gradients_.BucketsOf(p);
    for (size_t bucket = first; bucket <= last; ++bucket) ++missing_[bucket];
  }
}

GradientReduction::~GradientReduction() {
  for (const auto& [node, key] : hooks_) node->del_post_hook(key);
}

void GradientReduction::ExpectLast() {
  for (size_t p = 0; p < parameters_.size(); ++p) {
    std::shared_ptr<torch::autograd::Node> node = torch::autograd::impl::grad_accumulator(parameters_[p].value);
    const uintptr_t key = node->add_post_hook(std::make_unique<Hook>(*this, p));
    hooks_.emplace_back(std::move(node), key);
  }
}

int64_t GradientReduction::started() const {
  const absl::MutexLock lock(&mutex_);
  return static_cast<int64_t>(started_.size());
}

void GradientReduction::Ready(size_t parameter) {
  const auto [first, last] = gradients_.BucketsOf(parameter);
  const absl::MutexLock lock(&mutex_);
  TORCH_CHECK(!ready_[parameter], "the gradient of ", parameters_[parameter].name,
              " grew after its last contribution: its reduction has begun");
  ready_[parameter] = true;
  for (size_t bucket = first; bucket <= last; ++bucket) --missing_[bucket];
  while (started_.size() < missing_.size() && missing_[missing_.size() - 1 - started_.size()] == 0) StartNext();
}

void GradientReduction::StartNext() {
  started_.push_back(group_.StartAllReduceSum(gradients_.buckets()[missing_.size() - 1 - started_.size()]));
}

absl::Status GradientReduction::Finish() {
  const absl::MutexLock lock(&mutex_);
  while (started_.size() < missing_.size()) StartNext();
  for (const auto& bucket : started_) RETURN_IF_ERROR(bucket->Wait());
  return absl::OkStatus();
}

}  // namespace muster
