// What the families' layers are made of.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "worker/rank/model/encoder.h"
#include "worker/rank/model/mixed.h"
#include "worker/rank/model/sequence_plan.h"

namespace muster {

// One product over one input: several weights of one shape stand side by side, as queries, keys and values do.
struct Linear {
  std::vector<Affine> masters;
  Affine cast;  // of all masters, in bfloat16; undefined where the encoder does not compute in it

  // What is trained of a master whose weight is fixed: scale * up down is added to it. Undefined: nothing.
  struct Adapter {
    at::Tensor down, up;  // [rank, in], [out, rank]
    at::Tensor down_cast, up_cast;
  };
  std::vector<Adapter> adapters;  // empty, or one per master
  double scale = 1;
};

// Makes the copies in bfloat16 anew.
void RefreshCast(Linear& linear);

// The parameters of an encoder by name. A bias that the family does not have is undefined.
class Weights {
 public:
  // `lora_scale`: of the adapters, where there are any.
  Weights(std::span<const Parameter> fixed, std::span<const Parameter> parameters, double lora_scale);
  at::Tensor Get(std::string_view name) const;  // throws c10::Error where there is none
  Affine GetAffine(const std::string& name) const;
  Linear GetLinear(std::initializer_list<std::string> names) const;

 private:
  absl::flat_hash_map<std::string, at::Tensor> by_name_;
  double lora_scale_ = 1;
};

at::Tensor Apply(const Linear& linear, const at::Tensor& x);
at::Tensor LayerNorm(const Affine& affine, const at::Tensor& x, double epsilon);
// weight * x / sqrt(mean(x^2) + epsilon) over the last dimension; float32 inside for bfloat16.
at::Tensor RmsNorm(const at::Tensor& weight, const at::Tensor& x, double epsilon);
// By transformers' name of the activation, or "identity".
at::Tensor Activate(const std::string& activation, const at::Tensor& x);

// Rows of the table that the tokens name.
at::Tensor EmbedTokens(const at::Tensor& table, const at::Tensor& tokens);
// Row of each token within its sequence, int64 [T].
at::Tensor Positions(const SequencePlan& plan, at::Device device);
// The same, counted from pad_token + 1 on; tokens that are pad_token have its position and are not counted, as in
// transformers' create_position_ids_from_input_ids.
at::Tensor PositionsWithout(int64_t pad_token, const at::Tensor& tokens, const SequencePlan& plan);

}  // namespace muster
