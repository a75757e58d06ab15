// A Group over a library of collectives. This class handles errors, byte strings and empty messages; a library adds three
// operations. Every rank receives what it needs and no padding, however much the ranks' counts differ.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "worker/rank/collective/group.h"

namespace muster {

// UNAVAILABLE "collective failed: OPERATION: " and the first line of `reason`.
absl::Status CollectiveError(absl::string_view operation, absl::string_view reason);

// An operation that a library has begun. It keeps the tensors alive.
class Transfer {
 public:
  virtual ~Transfer() = default;
  // Returns when the result is complete.
  virtual absl::Status Await() = 0;
};

// After the first failure every operation returns the same status immediately.
class BackendGroup : public Group {
 public:
  std::unique_ptr<Pending> StartAllGather(std::vector<at::Tensor> pieces) final;
  std::unique_ptr<Pending> StartAllReduceSum(at::Tensor tensor) final;
  absl::StatusOr<at::Tensor> ReduceScatterRowsSum(const at::Tensor& full, std::span<const int64_t> counts) final;
  absl::StatusOr<std::vector<std::string>> AllGatherBytes(const std::string& own) final;

 protected:
  using Started = absl::StatusOr<std::unique_ptr<Transfer>>;

  // `device`: where the library requires its tensors.
  explicit BackendGroup(at::Device device) : device_(device) {}
  at::Device device() const { return device_; }

  // Contiguous tensors on the device, at least one of which has elements. Operations and Transfer::Await fail by a status
  // or by an exception, whose message need not name the operation.
  virtual Started Gather(std::vector<at::Tensor> pieces) = 0;  // pieces[r]: from rank r to all
  virtual Started AllReduce(at::Tensor tensor) = 0;            // in place
  // own: the sum over the ranks of the rows of `full` that belong to this rank.
  virtual Started ReduceScatter(const at::Tensor& full, std::span<const int64_t> counts, at::Tensor own) = 0;
  // Called once, when an operation has failed: disconnects from the peers, so that their operations fail too.
  virtual void Abandon() {}

 private:
  class Operation;
  absl::Status Try(absl::string_view name, absl::FunctionRef<absl::Status()> operation);
  std::unique_ptr<Pending> Start(absl::string_view name, absl::FunctionRef<Started()> begin);

  const at::Device device_;
  absl::Status failure_;
};

}  // namespace muster
