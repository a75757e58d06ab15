// A Group over a c10d backend. Include it only in .cc files of worker/rank: Backend.hpp is slow to compile.
#pragma once

#include <memory>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "worker/rank/collective/group.h"
#include "worker/rank/collective/join.h"

namespace muster {

// `device`: where the backend requires its tensors.
std::unique_ptr<Group> MakeC10dGroup(c10::intrusive_ptr<c10d::Backend> backend, at::Device device);

// The backend of JoinGlooGroup's group. Throws if not all ranks join in time.
c10::intrusive_ptr<c10d::Backend> MeetOverGloo(const JoinOptions& options);

}  // namespace muster
