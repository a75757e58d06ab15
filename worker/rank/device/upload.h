// Copies numbers from the host to a tensor on the device, without waiting for the device. Use nothing else for such
// copies.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

namespace muster {

// int64 [size]. The caller may free `values` when the call returns.
at::Tensor IndicesOn(at::Device device, std::span<const int64_t> values);

}  // namespace muster
