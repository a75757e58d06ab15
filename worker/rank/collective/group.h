// What the ranks of an attempt do together. All ranks call the same operations in the same order.
//
// Reductions give every rank equal bits. An operation that fails (a peer is gone, or is later than the time allowed)
// ends with UNAVAILABLE "collective failed: ..."; the group is of no use afterwards.
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

// Not thread-safe: one thread of a rank uses it.
class Group {
 public:
  virtual ~Group() = default;
  virtual int64_t rank() const = 0;
  virtual int64_t world_size() const = 0;

  // own [counts[rank()], ...] → [sum of counts, ...]: rank 0's rows, then rank 1's, …
  virtual absl::StatusOr<at::Tensor> AllGatherRows(const at::Tensor& own, std::span<const int64_t> counts) = 0;
  // full [sum of counts, ...] → own rows [counts[rank()], ...] of the sum over all ranks.
  virtual absl::StatusOr<at::Tensor> ReduceScatterRowsSum(const at::Tensor& full, std::span<const int64_t> counts) = 0;
  // In place; all of one dtype, the same shapes on every rank.
  virtual absl::Status AllReduceSum(std::span<at::Tensor> tensors) = 0;
  // A few bytes of each rank, in rank order. Lengths may differ.
  virtual absl::StatusOr<std::vector<std::string>> AllGatherBytes(const std::string& own) = 0;
  absl::Status Barrier() { return AllGatherBytes("").status(); }
};

// The group of one rank: nothing is sent.
std::unique_ptr<Group> MakeSingleGroup();

}  // namespace muster
