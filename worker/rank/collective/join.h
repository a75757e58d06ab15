// Joining a group through a c10d store.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/rank/collective/group.h"

namespace muster {

struct JoinOptions {
  c10::intrusive_ptr<c10d::Store> store;  // new: no other group has used it to connect
  int64_t rank = 0;
  int64_t world_size = 1;
  std::string interface_address = "127.0.0.1";  // the address that Gloo binds; for NCCL see nccl_group.h
  absl::Duration timeout = absl::Minutes(10);   // of joining, and of each operation
  bool fixed_order_of_sums = true;              // NCCL: the same bytes in every run; Gloo always has them
};

// CPU tensors. UNAVAILABLE if not all ranks join in time.
absl::StatusOr<std::unique_ptr<Group>> JoinGlooGroup(const JoinOptions& options);

}  // namespace muster
