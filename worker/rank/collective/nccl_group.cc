// The only file that sees ProcessGroupNCCL. Compiled where LibTorch::cuda is.
#include <c10/cuda/CUDAGuard.h>

#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include "worker/rank/collective/c10d_group.h"
#include "worker/rank/collective/join.h"

namespace muster {

absl::StatusOr<std::unique_ptr<Group>> JoinNcclGroup(const JoinOptions& options, at::Device device) {
  try {
    c10::cuda::set_device(device.index());
    const auto timeout = std::chrono::milliseconds(absl::ToInt64Milliseconds(options.timeout));
    auto nccl = c10d::ProcessGroupNCCL::Options::create();
    nccl->timeout = timeout;
    options.store->setTimeout(timeout);
    return MakeC10dGroup(c10::make_intrusive<c10d::ProcessGroupNCCL>(
                             options.store, static_cast<int>(options.rank), static_cast<int>(options.world_size), nccl),
                         device);
  } catch (const std::exception& error) {
    return CollectiveError("join", error);
  }
}

}  // namespace muster
