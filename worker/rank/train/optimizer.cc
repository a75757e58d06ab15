#include "worker/rank/train/optimizer.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "common/model/families/family.h"
#include "worker/rank/train/update_kernels.h"

namespace muster {
namespace {

constexpr int64_t kStretch = int64_t{1} << 14, kStretchesPerThread = 4;  // in elements: a stretch reads 256 KB
constexpr char kAverage[] = "exp_avg.", kSquare[] = "exp_avg_sq.", kStep[] = "step";

}  // namespace

AdamW::AdamW(std::span<const Parameter> parameters, const AdamWOptions& options, std::vector<size_t> rate_groups)
    : options_(options), parameters_(parameters.begin(), parameters.end()), rate_groups_(std::move(rate_groups)) {
  const at::NoGradGuard no_grad;
  if (rate_groups_.empty()) rate_groups_.resize(parameters_.size());
  TORCH_CHECK(rate_groups_.size() == parameters_.size(), rate_groups_.size(), " groups for ", parameters_.size(),
              " parameters");
  // Two groups per rate: with decay, and without.
  const size_t rates = parameters_.empty() ? 1 : *std::ranges::max_element(rate_groups_) + 1;
  groups_.resize(2 * rates);
  for (size_t i = 0; i < groups_.size(); ++i) {
    groups_[i].rate = i / 2;
    groups_[i].weight_decay = i % 2 == 0 ? options.weight_decay : 0;
  }
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor& value = parameters_[i].value;
    TORCH_CHECK(value.is_contiguous(), parameters_[i].name, " is not contiguous");
    averages_.push_back(at::zeros_like(value));
    squares_.push_back(at::zeros_like(value));
    Group& group = groups_[2 * rate_groups_[i] + (IsUndecayed(parameters_[i].name) ? 1 : 0)];
    group.indices.push_back(i);
    group.values.push_back(value.detach());  // shares storage; a leaf that requires gradients is not updated in place
    group.averages.push_back(averages_.back());
    group.squares.push_back(squares_.back());
    // One step counter for all parameters, because the kernel only reads it.
    if (!steps_.defined()) steps_ = at::zeros({}, value.options().dtype(at::kFloat).requires_grad(false));
    group.steps.push_back(steps_);
    for (int64_t first = 0; first < value.numel(); first += kStretch) {
      stretches_.push_back({i, first, std::min(kStretch, value.numel() - first)});
    }
  }
}

void AdamW::Update(std::span<const at::Tensor> gradients, std::span<const double> learning_rates, double gradient_scale) {
  const at::NoGradGuard no_grad;
  TORCH_CHECK(gradients.size() == parameters_.size(), gradients.size(), " gradients for ", parameters_.size(),
              " parameters");
  TORCH_CHECK(2 * learning_rates.size() >= groups_.size(), learning_rates.size(), " rates for ", groups_.size() / 2, " groups");
  ++step_;
  if (parameters_.empty()) return;
  const at::Tensor& first = parameters_.front().value;
  if (!first.is_cpu()) {
    UpdateFused(gradients, learning_rates, gradient_scale);
  } else if (first.scalar_type() == at::kDouble) {
    UpdateOnCpu<double>(gradients, learning_rates, gradient_scale);
  } else {
    UpdateOnCpu<float>(gradients, learning_rates, gradient_scale);
  }
  // Increments the versions, so that copies of the parameters are known to be outdated even if the kernel does not.
  for (const Parameter& parameter : parameters_) parameter.value.unsafeGetTensorImpl()->bump_version();
}

template <typename T>
void AdamW::UpdateOnCpu(std::span<const at::Tensor> gradients, std::span<const double> learning_rates, double gradient_scale) {
  const auto count = static_cast<double>(step_);
  const AdamWFactors factors{.gradient = gradient_scale,
                             .beta1 = options_.beta1,
                             .beta2 = options_.beta2,
                             .root = std::sqrt(1 - std::pow(options_.beta2, count)),
                             .epsilon = options_.epsilon};
  struct Memory {
    const T* gradient;
    T *value, *average, *square;
    double keep, step;
  };
  const double bias = 1 - std::pow(options_.beta1, count);
  std::vector<Memory> memory;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    TORCH_CHECK(gradients[i].is_contiguous() && gradients[i].sizes() == parameters_[i].value.sizes(),
                "the gradient of ", parameters_[i].name, " has another layout than the parameter");
    const double rate = learning_rates[rate_groups_[i]];
    memory.push_back({gradients[i].const_data_ptr<T>(), parameters_[i].value.mutable_data_ptr<T>(),
                      averages_[i].mutable_data_ptr<T>(), squares_[i].mutable_data_ptr<T>(),
                      1 - rate * (IsUndecayed(parameters_[i].name) ? 0 : options_.weight_decay), rate / bias});
  }
  at::parallel_for(0, static_cast<int64_t>(stretches_.size()), kStretchesPerThread, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      const auto& [index, first, size] = stretches_[s];
      const Memory& own = memory[index];
      AdamWFactors of_tensor = factors;
      of_tensor.keep = own.keep;
      of_tensor.step = own.step;
      ApplyAdamW(of_tensor, size, own.gradient + first, own.value + first, own.average + first, own.square + first);
    }
  });
}

void AdamW::UpdateFused(std::span<const at::Tensor> gradients, std::span<const double> learning_rates, double gradient_scale) {
  steps_.fill_(static_cast<double>(step_));
  // torch's kernel divides by the scale that it is given.
  std::optional<at::Tensor> divisor;
  if (gradient_scale != 1) divisor = at::full({}, 1 / gradient_scale, steps_.options());
  for (Group& group : groups_) {
    if (group.indices.empty()) continue;
    std::vector<at::Tensor> own;
    for (const size_t i : group.indices) own.push_back(gradients[i]);
    at::_fused_adamw_(group.values, own, group.averages, group.squares, /*max_exp_avg_sqs=*/{}, group.steps,
                      learning_rates[group.rate], options_.beta1, options_.beta2, group.weight_decay, options_.epsilon,
                      /*amsgrad=*/false, /*maximize=*/false, divisor);
  }
}

void AdamW::Reset() {
  const at::NoGradGuard no_grad;
  for (const std::vector<at::Tensor>* moments : {&averages_, &squares_}) {
    for (const at::Tensor& moment : *moments) moment.zero_();
  }
  step_ = 0;
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
