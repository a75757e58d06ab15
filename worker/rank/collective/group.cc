#include "worker/rank/collective/group.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <numeric>
#include <utility>

#include "common/status.h"

namespace muster {

absl::StatusOr<at::Tensor> Group::AllGatherRows(const at::Tensor& own, std::span<const int64_t> counts) {
  if (world_size() == 1) return own;
  const at::NoGradGuard no_gradient;
  std::vector<int64_t> shape = own.sizes().vec();
  shape[0] = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  at::Tensor all = at::empty(shape, own.options());
  std::vector<at::Tensor> pieces;
  int64_t first = 0;
  for (const int64_t count : counts) {
    pieces.push_back(all.narrow(0, first, count));
    first += count;
  }
  pieces[rank()].copy_(own);
  RETURN_IF_ERROR(StartAllGather(std::move(pieces))->Wait());
  return all;
}

absl::Status Group::AllReduceSum(std::span<at::Tensor> tensors) {
  std::vector<std::unique_ptr<Pending>> pending;
  for (const at::Tensor& tensor : tensors) pending.push_back(StartAllReduceSum(tensor));
  absl::Status first;
  for (const auto& operation : pending) first.Update(operation->Wait());
  return first;
}

}  // namespace muster
