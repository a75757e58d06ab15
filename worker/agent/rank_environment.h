// The variables that a rank inherits from the agent's environment: listed names and the families of the network
// libraries, so that no secret passes. Also those that the agent adds, so that NCCL uses the interface of --interface.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/host/network.h"

namespace muster {

struct RankVariableOptions {
  RankInterface interface;
  bool interface_is_chosen = false;  // from --interface; otherwise the interface towards the coordinator
  bool gpu = false;                  // NCCL runs on GPUs only
  std::vector<std::string> extra;    // names that --rank-env lets through
};

struct RankVariables {
  std::vector<std::string> environment;  // "NAME=value"
  std::vector<std::string> warnings;     // one line each, for the log at startup
};

// `environment` is the agent's, as "NAME=value". INVALID_ARGUMENT: --rank-env names a variable that Muster sets itself or
// that could carry a secret or foreign code; or NCCL_SOCKET_IFNAME or NCCL_SOCKET_FAMILY excludes the interface of --interface.
absl::StatusOr<RankVariables> ChooseRankVariables(const std::vector<std::string>& environment,
                                                  const RankVariableOptions& options,
                                                  const std::vector<NetworkInterface>& interfaces);

// This process's environment.
std::vector<std::string> OwnEnvironment();

}  // namespace muster
