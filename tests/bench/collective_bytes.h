// For benchmarks of several ranks on one machine: the bytes that their collectives send over the loopback device.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "muster/internal/v1/data_plane.pb.h"
#include "worker/rank/collective/group.h"

namespace muster {

// What a step sends depends on: numbers per embedding, parameters, and how many sequences each rank encodes.
struct StepSizes {
  int64_t width = 0, parameters = 0;
  std::vector<int64_t> rank_counts;
};
std::vector<int64_t> RankCountsOf(const std::vector<muster::internal::v1::StepShare>& shares);

// Bytes, packet headers included, that the device carried while all ranks ran `operation`. All ranks call it together; no rank
// begins before the others have read the counter.
absl::StatusOr<double> LoopbackBytesOf(Group& group, absl::FunctionRef<absl::Status()> operation);

// The same for each collective of a step alone: "gather", "scatter" and "reduce", in float32.
absl::StatusOr<std::map<std::string, double>> CollectiveBytesOf(Group& group, const StepSizes& sizes, at::Device device);

// The least that all ranks together must send, by the same names, and of the whole "step". Each rank needs the other ranks'
// rows, and their gradients of its own rows. A sum of gradients is sent twice: the parts, then the sum.
std::map<std::string, double> LeastBytesOf(const StepSizes& sizes);

}  // namespace muster
