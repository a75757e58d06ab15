// AdamW with decoupled weight decay over an encoder's parameters.
// Source: Loshchilov, Hutter, "Decoupled weight decay regularization", ICLR 2019. One pass over memory: on the CPU a kernel of
// ours, elsewhere torch's fused AdamW.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "worker/rank/model/encoder.h"

namespace muster {

struct AdamWOptions {
  double weight_decay = 0.01;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
};

// Not thread-safe. Biases, norms and tables of relative positions are not decayed (IsUndecayed).
class AdamW {
 public:
  // Keeps references to the parameters' storage and updates them in place. Parameter i has the rate
  // learning_rates[rate_groups[i]] of Update; with empty rate_groups, all have learning_rates[0].
  AdamW(std::span<const Parameter> parameters, const AdamWOptions& options, std::vector<size_t> rate_groups = {});

  // One update, which increments the parameters' versions. gradients[i] belongs to parameter i, has its shape and type, and
  // is contiguous. The update is that of g = gradient_scale * gradients[i]; the CPU does not change the gradients, a GPU
  // overwrites them with g.
  //   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
  //   p = p (1 - rate * decay) - rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
  // `rate` is learning_rates[the parameter's group].
  void Update(std::span<const at::Tensor> gradients, std::span<const double> learning_rates, double gradient_scale = 1);
  void Update(std::span<const at::Tensor> gradients, double learning_rate, double gradient_scale = 1) {
    Update(gradients, {&learning_rate, 1}, gradient_scale);
  }

  // Back to the state before the first update.
  void Reset();

  // Updates done so far.
  uint64_t step() const { return step_; }

  // The state for a checkpoint, in the parameters' order: "exp_avg.NAME" and "exp_avg_sq.NAME" of each, then "step"
  // (int64 []). The moments share storage with the optimizer: copy them before the next Update.
  std::vector<Parameter> State() const;
  // Restores State()'s tensors by name. INVALID_ARGUMENT if one is absent or has another shape; then nothing is changed.
  absl::Status Restore(std::span<const Parameter> state);

 private:
  // A stretch of a tensor that one thread updates. Stretches begin at the same elements for any number of threads, so the
  // number of threads does not change the bits.
  struct Stretch {
    size_t index = 0;  // into parameters_
    int64_t first = 0, size = 0;
  };
  template <typename T>
  void UpdateOnCpu(std::span<const at::Tensor> gradients, std::span<const double> learning_rates, double gradient_scale);
  void UpdateFused(std::span<const at::Tensor> gradients, std::span<const double> learning_rates, double gradient_scale);

  // The parameters that one call of the fused kernel updates.
  struct Group {
    double weight_decay = 0;
    size_t rate = 0;  // index into Update's rates
    std::vector<size_t> indices;  // into parameters_
    std::vector<at::Tensor> values, averages, squares, steps;
  };

  AdamWOptions options_;
  std::vector<Parameter> parameters_;
  std::vector<size_t> rate_groups_;             // one per parameter
  std::vector<at::Tensor> averages_, squares_;  // in the parameters' order
  std::vector<Group> groups_;
  std::vector<Stretch> stretches_;
  at::Tensor steps_;  // step_ as float32, on the parameters' device
  uint64_t step_ = 0;
};

}  // namespace muster
