#include "worker/rank/train/optimizer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "common/model/families/family.h"

namespace muster {
namespace {

constexpr char kAverage[] = "exp_avg.", kSquare[] = "exp_avg_sq.", kStep[] = "step";

}  // namespace

AdamW::AdamW(std::span<const Parameter> parameters, const AdamWOptions& options)
    : options_(options), parameters_(parameters.begin(), parameters.end()) {
  const at::NoGradGuard no_grad;
  groups_.resize(2);
  groups_[0].weight_decay = options.weight_decay;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor& value = parameters_[i].value;
    averages_.push_back(at::zeros_like(value));
    squares_.push_back(at::zeros_like(value));
    Group& group = groups_[IsUndecayed(parameters_[i].name) ? 1 : 0];
    group.indices.push_back(i);
    group.values.push_back(value.detach());  // shares storage; a leaf that requires gradients is not updated in place
    group.averages.push_back(averages_.back());
    group.squares.push_back(squares_.back());
    // One counter for all: the kernel reads it alone.
    if (!steps_.defined()) steps_ = at::zeros({}, value.options().dtype(at::kFloat).requires_grad(false));
    group.steps.push_back(steps_);
  }
}

void AdamW::Update(std::span<const at::Tensor> gradients, double learning_rate) {
  const at::NoGradGuard no_grad;
  TORCH_CHECK(gradients.size() == parameters_.size(), gradients.size(), " gradients for ", parameters_.size(),
              " parameters");
  ++step_;
  if (steps_.defined()) steps_.fill_(static_cast<double>(step_));
  for (Group& group : groups_) {
    if (group.indices.empty()) continue;
    std::vector<at::Tensor> own;
    for (const size_t i : group.indices) own.push_back(gradients[i]);
    at::_fused_adamw_(group.values, own, group.averages, group.squares, /*max_exp_avg_sqs=*/{}, group.steps,
                      learning_rate, options_.beta1, options_.beta2, group.weight_decay, options_.epsilon,
                      /*amsgrad=*/false, /*maximize=*/false);
    // So that copies of the parameters know themselves outdated, whatever the kernel does about it.
    for (const at::Tensor& value : group.values) value.unsafeGetTensorImpl()->bump_version();
  }
}

std::vector<Parameter> AdamW::State() const {
  std::vector<Parameter> state;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    state.push_back({absl::StrCat(kAverage, parameters_[i].name), averages_[i]});
    state.push_back({absl::StrCat(kSquare, parameters_[i].name), squares_[i]});
  }
  state.push_back({kStep, at::full({}, static_cast<int64_t>(step_), at::kLong)});
  return state;
}

absl::Status AdamW::Restore(std::span<const Parameter> state) {
  const at::NoGradGuard no_grad;
  absl::flat_hash_map<std::string_view, at::Tensor> by_name;
  for (const Parameter& tensor : state) by_name[tensor.name] = tensor.value;
  const std::vector<Parameter> own = State();
  for (const Parameter& tensor : own) {
    const auto found = by_name.find(tensor.name);
    if (found == by_name.end()) {
      return absl::InvalidArgumentError(absl::StrCat("the optimizer's state lacks ", tensor.name));
    }
    if (found->second.sizes() != tensor.value.sizes() || found->second.scalar_type() != tensor.value.scalar_type()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the optimizer's state has another shape or type of ", tensor.name));
    }
  }
  for (const Parameter& tensor : own) tensor.value.copy_(by_name.at(tensor.name));
  step_ = static_cast<uint64_t>(by_name.at(kStep).item<int64_t>());
  return absl::OkStatus();
}

}  // namespace muster
