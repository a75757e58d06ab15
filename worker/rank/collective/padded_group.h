// A Group over any library whose collectives move messages of one size: padding to the largest count, buckets of
// gradients and byte strings are made here; a library adds three operations.
#pragma once

#include <span>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "worker/rank/collective/group.h"

namespace muster {

// UNAVAILABLE "collective failed: OPERATION: " and the first line of `reason`.
absl::Status CollectiveError(absl::string_view operation, absl::string_view reason);

// After the first failure every operation is refused with the same status, at once.
class PaddedGroup : public Group {
 public:
  absl::StatusOr<at::Tensor> AllGatherRows(const at::Tensor& own, std::span<const int64_t> counts) final;
  absl::StatusOr<at::Tensor> ReduceScatterRowsSum(const at::Tensor& full, std::span<const int64_t> counts) final;
  absl::Status AllReduceSum(std::span<at::Tensor> tensors) final;
  absl::StatusOr<std::vector<std::string>> AllGatherBytes(const std::string& own) final;

 protected:
  // `device`: where the library wants its tensors.
  explicit PaddedGroup(at::Device device) : device_(device) {}
  at::Device device() const { return device_; }

  // Contiguous tensors of the device, with elements. The result is there when they return; they fail by a status or by
  // an exception, whose message need not name the operation.
  virtual absl::Status Gather(const at::Tensor& input, at::Tensor& output) = 0;            // [n, …] → [world * n, …]
  virtual absl::Status ReduceScatter(const at::Tensor& input, at::Tensor& output) = 0;     // [world * n, …] → [n, …]
  virtual absl::Status AllReduce(at::Tensor& tensor) = 0;                                  // in place
  // Called once, when an operation has failed: leave the peers, so that they fail too.
  virtual void Abandon() {}

 private:
  absl::Status Try(absl::string_view name, absl::FunctionRef<absl::Status()> operation);
  absl::StatusOr<at::Tensor> GatherFromHost(const at::Tensor& host);
  absl::Status ReduceBucket(std::span<at::Tensor> tensors, int64_t elements);

  const at::Device device_;
  absl::Status failure_;
};

}  // namespace muster
