// A Group over NCCL's C API. Compiled only into the CUDA plug-in (worker/rank/cuda).
//
// c10d's ProcessGroupNCCL is not used: its watchdog threads end the process. Here the thread that waits for an operation
// checks the deadline and NCCL's state of the peers meanwhile.
#pragma once

#include <memory>

#include "worker/rank/collective/join.h"

namespace muster {

// Tensors of the GPU `device`, of float32, float64, bfloat16, int64 or uint8. Operations run in the group's own stream, after
// the work that is in the calling thread's current stream when they start. A thread that has waited for an operation may use
// its tensors in its current stream. If a peer has exited, or is late by options.timeout, operations fail with UNAVAILABLE
// "collective failed: OPERATION: ...", and the communicator is aborted.
//
// Sums have equal bits on every rank. With options.fixed_order_of_sums they also have equal bits in every run on the same GPUs:
// NCCL_ALGO and NCCL_PROTO are set to Ring and Simple where the environment does not set them. Without that option NCCL chooses
// the algorithm that it expects to be fastest, NVLink SHARP included.
//
// NCCL takes the interface from NCCL_SOCKET_IFNAME and NCCL_SOCKET_FAMILY, which the agent sets to fit
// options.interface_address (worker/agent/rank_environment.h). UNAVAILABLE if not all ranks join in time.
absl::StatusOr<std::unique_ptr<Group>> MakeNcclGroup(const JoinOptions& options, at::Device device);

}  // namespace muster
