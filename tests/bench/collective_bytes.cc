#include "tests/bench/collective_bytes.h"

#include <ATen/ops/zeros.h>

#include <fstream>
#include <numeric>
#include <sstream>

#include "common/status.h"

namespace muster {
namespace {

uint64_t LoopbackBytes() {
  std::ifstream devices("/proc/net/dev");
  for (std::string line; std::getline(devices, line);) {
    const size_t name = line.find("lo:");
    if (name == std::string::npos) continue;
    std::istringstream numbers(line.substr(name + 3));
    uint64_t received = 0;
    numbers >> received;
    return received;
  }
  return 0;
}

int64_t AllOf(const StepSizes& sizes) {
  return std::accumulate(sizes.rank_counts.begin(), sizes.rank_counts.end(), int64_t{0});
}

}  // namespace

std::vector<int64_t> RankCountsOf(const std::vector<muster::internal::v1::StepShare>& shares) {
  std::vector<int64_t> counts(shares.size());
  for (size_t rank = 0; rank < shares.size(); ++rank) {
    for (const auto& micro : shares[rank].micro_batches()) counts[rank] += micro.slots_size();
  }
  return counts;
}

absl::StatusOr<double> LoopbackBytesOf(Group& group, absl::FunctionRef<absl::Status()> operation) {
  RETURN_IF_ERROR(group.Barrier());
  const uint64_t before = LoopbackBytes();
  RETURN_IF_ERROR(group.Barrier());
  RETURN_IF_ERROR(operation());
  RETURN_IF_ERROR(group.Barrier());
  return static_cast<double>(LoopbackBytes() - before);
}

absl::StatusOr<std::map<std::string, double>> CollectiveBytesOf(Group& group, const StepSizes& sizes, at::Device device) {
  const at::TensorOptions like(device);
  const at::Tensor own = at::zeros({sizes.rank_counts[group.rank()], sizes.width}, like);
  const at::Tensor full = at::zeros({AllOf(sizes), sizes.width}, like);
  at::Tensor gradients = at::zeros({sizes.parameters}, like);
  std::map<std::string, double> bytes;
  ASSIGN_OR_RETURN(bytes["gather"],
                   LoopbackBytesOf(group, [&] { return group.AllGatherRows(own, sizes.rank_counts).status(); }));
  ASSIGN_OR_RETURN(bytes["scatter"],
                   LoopbackBytesOf(group, [&] { return group.ReduceScatterRowsSum(full, sizes.rank_counts).status(); }));
  ASSIGN_OR_RETURN(bytes["reduce"], LoopbackBytesOf(group, [&] { return group.AllReduceSum({&gradients, 1}); }));
  return bytes;
}

std::map<std::string, double> LeastBytesOf(const StepSizes& sizes) {
  const auto others = static_cast<double>(sizes.rank_counts.size() - 1);
  const double rows = static_cast<double>(AllOf(sizes)) * static_cast<double>(sizes.width);
  std::map<std::string, double> least = {{"gather", 4 * others * rows},
                                         {"scatter", 4 * others * rows},
                                         {"reduce", 8 * others * static_cast<double>(sizes.parameters)}};
  least["step"] = least["gather"] + least["scatter"] + least["reduce"];
  return least;
}

}  // namespace muster
