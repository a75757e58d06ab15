// Facts about this host: its name, processors, memory, GPUs and interfaces.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace muster {

std::string HostName();
std::vector<uint32_t> AllowedCpus();  // numbers of the processors that this process may use, ascending
uint32_t CoreCount();    // that this process may use: by its affinity and its container's limit
uint64_t MemoryBytes();  // the host's, or its container's limit
std::vector<std::string> GpuNames();  // by NVML; empty without a driver. Honors CUDA_VISIBLE_DEVICES.

// The devices of a host that CUDA_VISIBLE_DEVICES names (absent: all), in its order. As in CUDA, an entry that names no
// device ends the list.
std::vector<std::string> VisibleDevices(const std::vector<std::string>& names, const std::vector<std::string>& uuids,
                                        const char* visible);

// The address of the interface that the route to host:port uses; "" if there is no route.
std::string InterfaceTowards(const std::string& address);

}  // namespace muster
