// Makes the jobs of kernels over rows from tensors and plans.
#pragma once

#include <ATen/core/Tensor.h>

#include "worker/rank/cuda/row_types.h"
#include "worker/rank/model/dropout.h"
#include "worker/rank/model/sequence_plan.h"

namespace muster {

inline cuda::Element ElementOf(const at::Tensor& rows, const char* what) {
  switch (rows.scalar_type()) {
    case at::kFloat:
      return cuda::Element::kFloat;
    case at::kDouble:
      return cuda::Element::kDouble;
    case at::kBFloat16:
      return cuda::Element::kBfloat16;
    default:
      TORCH_CHECK(false, what, " of ", rows.scalar_type(), ": float32, float64 and bfloat16 are known");
  }
}

inline at::ScalarType ParameterType(const at::Tensor& rows) {
  return rows.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

// Null where the tensor is undefined.
inline const void* DataOf(const at::Tensor& tensor) { return tensor.defined() ? tensor.const_data_ptr() : nullptr; }
inline void* MutableDataOf(const at::Tensor& tensor) { return tensor.defined() ? tensor.mutable_data_ptr() : nullptr; }

// A kernel's inputs for drawing the masks of the plan's rows; inactive at rate 0.
inline cuda::RowsMask MaskOf(const DropoutRate& rate, const DropoutPlace& place, const SequencePlan& plan,
                             const at::Tensor& rows) {
  if (!rate.active()) return {};
  TORCH_CHECK(plan.device_keys.defined() && plan.device_keys.device() == rows.device() &&
                  plan.device_first_rows.defined(),
              "dropout of rows: the plan's keys are on another device");
  TORCH_CHECK(rows.size(0) == plan.rows, "dropout of rows: ", rows.size(0), " rows for a plan of ", plan.rows);
  return {.keys = plan.device_keys.const_data_ptr<int64_t>(),
          .first_rows = plan.device_first_rows.const_data_ptr<int64_t>(),
          .sequences = static_cast<int64_t>(plan.lengths.size()),
          .layer = static_cast<uint64_t>(place.layer),
          .site = static_cast<uint64_t>(place.site),
          .threshold = rate.threshold,
          .scale = rate.scale};
}

}  // namespace muster
