// The building blocks of the families' layers.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "worker/rank/model/encoder.h"
#include "worker/rank/model/encoder_ops.h"
#include "worker/rank/model/mixed.h"
#include "worker/rank/model/product.h"
#include "worker/rank/model/sequence_plan.h"

namespace muster {

// The parameters of an encoder by name. A bias that the family does not have is undefined.
class Weights {
 public:
  // `lora_scale`: the scale of the adapters, if there are any.
  Weights(std::span<const Parameter> fixed, std::span<const Parameter> parameters, double lora_scale);
  at::Tensor Get(std::string_view name) const;  // throws c10::Error where there is none
  Affine GetAffine(const std::string& name) const;
  // The weights of a LayerNorm, or of an RMSNorm.
  Norm GetNorm(const std::string& name, double epsilon, bool rms = false) const;
  Linear GetLinear(std::initializer_list<std::string> names) const;

 private:
  absl::flat_hash_map<std::string, at::Tensor> by_name_;
  double lora_scale_ = 1;
};

// weight * x / sqrt(mean(x^2) + epsilon) over the last dimension; float32 inside for bfloat16.
at::Tensor RmsNorm(const at::Tensor& weight, const at::Tensor& x, double epsilon);
// A Dense module's activation, by transformers' name, or "identity".
at::Tensor Activate(const std::string& activation, const at::Tensor& x);

// Row of each token within its sequence, int64 [T], counted from pad_token + 1 on; tokens that are pad_token have its
// position and are not counted, as in transformers' create_position_ids_from_input_ids.
at::Tensor PositionsWithout(int64_t pad_token, const at::Tensor& tokens, const SequencePlan& plan);

}  // namespace muster
