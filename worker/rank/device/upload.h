// Copies numbers from the host to a tensor on the device. Use only this to do so: it never waits for the device.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

namespace muster {

// int64 [size]. The caller may free `values` when the call returns.
at::Tensor IndicesOn(at::Device device, std::span<const int64_t> values);

}  // namespace muster
