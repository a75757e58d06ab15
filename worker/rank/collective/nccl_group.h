// A Group over NCCL's C API. Compiled into the CUDA plug-in alone (worker/rank/cuda).
//
// c10d's ProcessGroupNCCL is not used: its watchdog threads end the process. Here the thread that waits for an operation
// checks the deadline and NCCL's state of the peers meanwhile.
#pragma once

#include <memory>

#include "worker/rank/collective/join.h"

namespace muster {

// Tensors of the GPU `device`, of float32, float64, bfloat16, int64 or uint8. Operations run in a stream of the group's own,
// after what the calling thread's current stream holds when they are started. Who has waited for one may use its tensors in
// its current stream. A peer that is gone, or late by options.timeout, ends them with UNAVAILABLE "collective failed:
// OPERATION: ..."; the communicator is aborted then.
//
// Sums have equal bits on every rank. With options.fixed_order_of_sums they have them from run to run too on the same GPUs:
// NCCL_ALGO and NCCL_PROTO are set to Ring and Simple where the environment does not set them. Without, NCCL takes what it
// measures to be fastest, NVLink SHARP included.
//
// NCCL takes the interface from NCCL_SOCKET_IFNAME and NCCL_SOCKET_FAMILY, which the agent sets to fit
// options.interface_address (worker/agent/rank_environment.h). UNAVAILABLE if not all ranks join in time.
absl::StatusOr<std::unique_ptr<Group>> MakeNcclGroup(const JoinOptions& options, at::Device device);

}  // namespace muster
