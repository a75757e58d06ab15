// The only file that sees ProcessGroupGloo: its header needs the shim in gloo_shim/.
#include <cstdlib>
#include <mutex>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "worker/rank/collective/backend_group.h"
#include "worker/rank/collective/c10d_group.h"
#include "worker/rank/collective/join.h"

namespace muster {

namespace {

// c10d has one flight recorder per process, and it races when several groups of the process start collectives at once (2.11.0:
// a crash or an endless loop). 0 entries switch it off; c10d reads this once.
void SwitchFlightRecorderOff() {
  static std::once_flag once;
  std::call_once(once, [] { setenv("TORCH_FR_BUFFER_SIZE", "0", /*overwrite=*/1); });
}

}  // namespace

c10::intrusive_ptr<c10d::Backend> MeetOverGloo(const JoinOptions& options) {
  SwitchFlightRecorderOff();
  const auto timeout = std::chrono::milliseconds(absl::ToInt64Milliseconds(options.timeout));
  auto gloo = c10d::ProcessGroupGloo::Options::create(timeout);
  gloo->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(options.interface_address));
  gloo->threads = 2;
  options.store->setTimeout(timeout);
  return c10::make_intrusive<c10d::ProcessGroupGloo>(options.store, static_cast<int>(options.rank),
                                                     static_cast<int>(options.world_size), gloo);
}

absl::StatusOr<std::unique_ptr<Group>> JoinGlooGroup(const JoinOptions& options) {
  try {
    return MakeC10dGroup(MeetOverGloo(options), at::kCPU);
  } catch (const std::exception& error) {
    return CollectiveError("join", error.what());
  }
}

}  // namespace muster
