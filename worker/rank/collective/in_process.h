// Ranks as threads of one process, over Gloo on the loopback interface: for tests and for muster-train-local.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "worker/rank/collective/group.h"

namespace muster {

// Runs `body` once per rank, each in its own thread, and returns their results in rank order. One rank runs in a
// single group, without Gloo. A rank that returns leaves the group: the others' operations fail from then on. After the
// first call the process ignores SIGPIPE, which a write to a rank that has ended would raise.
std::vector<absl::Status> RunInProcessRanks(int64_t world_size, const std::function<absl::Status(Group&)>& body);

}  // namespace muster
