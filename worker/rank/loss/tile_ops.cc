#include "worker/rank/loss/tile_ops.h"

#include <array>
#include <atomic>

namespace muster {
namespace {

using Registry = std::array<std::atomic<const TileOps*>, static_cast<size_t>(c10::COMPILE_TIME_MAX_DEVICE_TYPES)>;

Registry& Registered() {
  static Registry registry{};
  return registry;
}

}  // namespace

const TileOps& TileOpsOf(c10::DeviceType device) {
  if (device == c10::DeviceType::CPU) return CpuTileOps();
  const TileOps* ops = Registered()[static_cast<size_t>(device)].load();
  TORCH_CHECK(ops != nullptr, "no loss operations for device ", c10::DeviceTypeName(device, true),
              ": load the plug-in of that device first");
  return *ops;
}

void RegisterTileOps(c10::DeviceType device, const TileOps& ops) { Registered()[static_cast<size_t>(device)] = &ops; }

}  // namespace muster
