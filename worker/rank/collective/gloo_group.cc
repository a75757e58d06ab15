// The only file that sees ProcessGroupGloo: its header needs the shim in gloo_shim/.
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "worker/rank/collective/c10d_group.h"
#include "worker/rank/collective/join.h"

namespace muster {

absl::StatusOr<std::unique_ptr<Group>> JoinGlooGroup(const JoinOptions& options) {
  try {
    const auto timeout = std::chrono::milliseconds(absl::ToInt64Milliseconds(options.timeout));
    auto gloo = c10d::ProcessGroupGloo::Options::create(timeout);
    gloo->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(options.interface_address));
    gloo->threads = 2;
    options.store->setTimeout(timeout);
    return MakeC10dGroup(c10::make_intrusive<c10d::ProcessGroupGloo>(
                             options.store, static_cast<int>(options.rank), static_cast<int>(options.world_size), gloo),
                         at::kCPU);
  } catch (const std::exception& error) {
    return CollectiveError("join", error);
  }
}

}  // namespace muster
