// Remembers the cluster that `muster local` started, for commands in other terminals.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace muster {

// $XDG_CONFIG_HOME/muster, or ~/.config/muster; empty if neither variable is set. Reads the environment.
std::filesystem::path ConfigFolder();

struct RememberedCluster {
  std::string address;
  std::string certificates;  // folder
  std::string token_file;
  std::string state;  // folder of `muster local`
  friend bool operator==(const RememberedCluster&, const RememberedCluster&) = default;
};

// CONFIG/local.yaml.
std::filesystem::path RememberedFile(const std::filesystem::path& config_folder);

// Readable only by the user. Replaces the previously remembered cluster.
absl::Status Remember(const RememberedCluster& cluster, const std::filesystem::path& config_folder);
// Removes the file if it still names this cluster and not one that was started later.
void Forget(const RememberedCluster& cluster, const std::filesystem::path& config_folder);

// Nothing: there is no such file. INVALID_ARGUMENT: it cannot be read.
absl::StatusOr<std::optional<RememberedCluster>> ReadRemembered(const std::filesystem::path& config_folder);

}  // namespace muster
