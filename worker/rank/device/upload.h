// Numbers of the host → a tensor of the device. The one way to do it: it never waits for the device.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

namespace muster {

// int64 [size]. `values` may go when the call returns.
at::Tensor IndicesOn(at::Device device, std::span<const int64_t> values);

}  // namespace muster
