// The command line of muster-worker, and what follows from it on this host.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
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
  std::filesystem::path rank_binary;  // empty: muster-rank beside this program
  std::string metrics = "127.0.0.1:7075";
  std::string health = "127.0.0.1:7085";
  std::filesystem::path port_file;
  double drain_timeout = 100;  // seconds
  std::string interface_address;  // empty: the one that leads to the coordinator
  std::string log_level = "info", log_format = "text";
};

void AddWorkerFlags(CLI::App& app, WorkerFlags& flags);

struct HostFacts {
  std::string name;
  uint32_t cores = 1;
  uint64_t memory_bytes = 0;
  std::vector<std::string> gpus;
  std::filesystem::path program_folder;
  std::string interface_towards_coordinator;
};

// Checks the flags against the host. INVALID_ARGUMENT and FAILED_PRECONDITION name the flag.
absl::StatusOr<Agent::Options> ResolveFlags(const WorkerFlags& flags, const HostFacts& host);

}  // namespace muster
