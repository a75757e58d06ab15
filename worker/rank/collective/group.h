// The collective operations of an attempt's ranks. All ranks start the same operations in the same order.
//
// Reductions give every rank equal bits. An operation that fails (a peer has exited or did not arrive in time) ends with
// UNAVAILABLE "collective failed: ..."; the group cannot be used afterwards.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster {

// An operation that has been started. Its tensors are neither read nor changed until Wait has returned OK.
class Pending {
 public:
  virtual ~Pending() = default;
  // Returns when the results are complete. Call it once; operations end in the order in which they were started.
  virtual absl::Status Wait() = 0;
};

// Not thread-safe: one call at a time.
class Group {
 public:
  virtual ~Group() = default;
  virtual int64_t rank() const = 0;
  virtual int64_t world_size() const = 0;

  // Starts to send all pieces to every rank. pieces[r] is the place of rank r's piece: this rank's holds its values, Wait
  // fills the others. Contiguous and of one dtype; piece r has the same number of rows on every rank, which may be 0.
  virtual std::unique_ptr<Pending> StartAllGather(std::vector<at::Tensor> pieces) = 0;
  // Starts to sum a contiguous tensor over the ranks, in place.
  virtual std::unique_ptr<Pending> StartAllReduceSum(at::Tensor tensor) = 0;
  // full [sum of counts, ...] → this rank's rows [counts[rank()], ...] of the sum over all ranks.
  virtual absl::StatusOr<at::Tensor> ReduceScatterRowsSum(const at::Tensor& full, std::span<const int64_t> counts) = 0;
  // Gathers a few bytes from each rank, in rank order. Lengths may differ; up to kShortBytes each travel in one
  // message.
  virtual absl::StatusOr<std::vector<std::string>> AllGatherBytes(const std::string& own) = 0;
  static constexpr size_t kShortBytes = 248;

  // own [counts[rank()], ...] → [sum of counts, ...]: rank 0's rows, then rank 1's, …
  absl::StatusOr<at::Tensor> AllGatherRows(const at::Tensor& own, std::span<const int64_t> counts);
  // In place; contiguous, the same shapes and dtypes on every rank.
  absl::Status AllReduceSum(std::span<at::Tensor> tensors);
  absl::Status Barrier() { return AllGatherBytes("").status(); }
};

// The group of one rank: nothing is sent.
std::unique_ptr<Group> MakeSingleGroup();

}  // namespace muster
