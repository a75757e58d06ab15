// Judges facts about a worker's host. Pure: host_probe collects the facts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "client/doctor/finding.h"
#include "common/host/network.h"
#include "common/host/nvml.h"

namespace muster {

enum class Secret { kPrivateKey, kToken };
Finding CheckSecretMode(Secret secret, const std::string& path, unsigned mode);  // permission bits of its file

// `name`: "metrics"; `owner`: the program that listens on the port, empty if none does.
Finding CheckPort(const std::string& name, int port, bool taken, const std::string& owner);

// `towards`: this host's address on the route to the coordinator, empty if there is no route.
Finding CheckInterface(const std::vector<NetworkInterface>& interfaces, const std::string& coordinator,
                       const std::string& towards);
// `interface`: the worker's --interface.
Finding CheckChosenInterface(const std::vector<NetworkInterface>& interfaces, const std::string& interface);
// `setting`: NCCL_SOCKET_IFNAME, empty: not set. `ranks`: the interface that the worker binds, empty: not known; `chosen`:
// --interface names it.
Finding CheckNcclInterface(const std::vector<NetworkInterface>& interfaces, const std::string& setting,
                           const std::string& ranks, bool chosen);

Finding CheckShm(uint64_t bytes, bool has_gpus);  // size of /dev/shm; 0: absent
Finding CheckDisk(const std::string& folder, uint64_t free, uint64_t size);
// `cores`: those that the worker would use; `slots`: the worker's, 0 if unknown.
Finding CheckCores(uint32_t cores, uint32_t slots);
Finding CheckMemory(uint64_t bytes);  // the memory that the worker may use
Finding CheckOpenFiles(uint64_t limit);

struct GpuFacts {
  uint32_t index = 0;
  std::string name;
  GpuReading reading;
};
struct NvmlFacts {
  std::string absent;  // why NVML is missing; empty: it is present
  std::string driver;
  std::vector<GpuFacts> gpus;
};
Findings CheckGpus(const NvmlFacts& nvml, bool expected);

// The result of `muster-rank --version`; `path`: where the program was looked for.
Finding CheckRankProgram(const std::string& path, bool found, int exit_code, const std::string& last_line);

}  // namespace muster
