// A Group over NCCL's C API. Compiled into the CUDA plug-in alone (worker/rank/cuda).
//
// c10d's ProcessGroupNCCL is not used: its watchdog threads end the process. Here the thread that asks for an operation
// waits for it, and looks meanwhile at the time and at what NCCL says of its peers.
#pragma once

#include <memory>

#include "worker/rank/collective/join.h"

namespace muster {

// Tensors of the GPU `device`, of float32, float64, bfloat16, int64 or uint8. Operations run in the calling thread's
// current stream and return when their results are there. A peer that is gone, or late by options.timeout, ends them
// with UNAVAILABLE "collective failed: OPERATION: ..."; the communicator is aborted then.
//
// Sums have equal bits on every rank and from run to run on the same GPUs: NCCL_ALGO and NCCL_PROTO are set to Ring and
// Simple where the environment does not set them.
//
// NCCL takes the interface from NCCL_SOCKET_IFNAME and NCCL_SOCKET_FAMILY, which the agent sets to fit
// options.interface_address (worker/agent/rank_environment.h). UNAVAILABLE if not all ranks are there in time.
absl::StatusOr<std::unique_ptr<Group>> MakeNcclGroup(const JoinOptions& options, at::Device device);

}  // namespace muster
