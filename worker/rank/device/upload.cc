#include "worker/rank/device/upload.h"

#include <ATen/ops/empty.h>

#include <algorithm>

namespace muster {

at::Tensor IndicesOn(at::Device device, std::span<const int64_t> values) {
  const bool pinned = !device.is_cpu();  // memory that is not pinned is copied once more, while the host waits
  const at::Tensor host = at::empty({static_cast<int64_t>(values.size())}, at::TensorOptions().dtype(at::kLong).pinned_memory(pinned));
  std::copy(values.begin(), values.end(), host.mutable_data_ptr<int64_t>());
  return pinned ? host.to(device, /*non_blocking=*/true) : host;
}

}  // namespace muster
