// The command line of muster-worker, checked against the host.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/host/network.h"
#include "common/rpc/security.h"
#include "worker/agent/agent.h"

namespace CLI {
class App;
}

namespace muster {

struct WorkerFlags {
  std::string coordinator;
  std::string name;           // empty: the host's
  std::optional<uint32_t> slots;
  std::string device = "auto";
  std::filesystem::path state;
  std::filesystem::path certs;
  std::filesystem::path token_file;
  bool insecure = false;
  std::filesystem::path rank_binary;  // empty: muster-rank next to this program
  std::string metrics = "127.0.0.1:7075";
  std::string health = "127.0.0.1:7085";
  std::filesystem::path port_file;
  double drain_timeout = 100;  // seconds
  std::string interface;  // an address, a name or a network; empty: the interface towards the coordinator
  std::vector<std::string> rank_env;  // further variables that ranks inherit
  std::string log_level = "info", log_format = "text";
  uint64_t cache_bytes = 20000000000;
};

void AddWorkerFlags(CLI::App& app, WorkerFlags& flags);

struct HostFacts {
  std::string name;
  uint32_t cores = 1;
  uint64_t memory_bytes = 0;
  std::vector<std::string> gpus;
  std::filesystem::path program_folder;
  std::string interface_towards_coordinator;  // its address
  std::vector<NetworkInterface> interfaces;
};

// The interface that ranks bind. INVALID_ARGUMENT: the host does not have the one of --interface. UNAVAILABLE: there is no
// route to the coordinator.
absl::StatusOr<RankInterface> ResolveInterface(const WorkerFlags& flags, const HostFacts& host);

// Checks the flags against the host. INVALID_ARGUMENT and FAILED_PRECONDITION name the flag.
absl::StatusOr<Agent::Options> ResolveFlags(const WorkerFlags& flags, const HostFacts& host);

}  // namespace muster
