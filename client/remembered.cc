#include "client/remembered.h"

#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status.h"

namespace muster {
namespace {

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

}  // namespace

std::filesystem::path ConfigFolder() {
  if (const std::string folder = Variable("XDG_CONFIG_HOME"); !folder.empty()) return std::filesystem::path(folder) / "muster";
  const std::string home = Variable("HOME");
  return home.empty() ? std::filesystem::path() : std::filesystem::path(home) / ".config/muster";
}

std::filesystem::path RememberedFile(const std::filesystem::path& config_folder) { return config_folder / "local.yaml"; }

absl::Status Remember(const RememberedCluster& cluster, const std::filesystem::path& config_folder) {
  if (config_folder.empty()) return absl::FailedPreconditionError("neither HOME nor XDG_CONFIG_HOME is set");
  YAML::Emitter out;
  out << YAML::BeginMap << YAML::Key << "address" << YAML::Value << cluster.address << YAML::Key << "certs" << YAML::Value
      << cluster.certificates << YAML::Key << "token_file" << YAML::Value << cluster.token_file << YAML::Key << "state"
      << YAML::Value << cluster.state << YAML::EndMap;
  RETURN_IF_ERROR(MakeFolders(config_folder));
  return WriteFileAtomically(RememberedFile(config_folder),
                             absl::StrCat("# Written by muster local while it runs. Flags, environment variables and config.yaml override it.\n",
                                          out.c_str(), "\n"),
                             0600);
}

void Forget(const RememberedCluster& cluster, const std::filesystem::path& config_folder) {
  const auto remembered = ReadRemembered(config_folder);
  if (!remembered.ok() || *remembered != cluster) return;
  std::error_code ignored;
  std::filesystem::remove(RememberedFile(config_folder), ignored);
}

absl::StatusOr<std::optional<RememberedCluster>> ReadRemembered(const std::filesystem::path& config_folder) {
  if (config_folder.empty()) return std::nullopt;
  const std::filesystem::path file = RememberedFile(config_folder);
  const absl::StatusOr<std::string> text = ReadFile(file);
  if (absl::IsNotFound(text.status())) return std::nullopt;
  RememberedCluster cluster;
  try {
    if (!text.ok()) return absl::InvalidArgumentError(text.status().message());
    const YAML::Node root = YAML::Load(*text);
    for (const auto& [key, value] : {std::pair("address", &cluster.address), std::pair("certs", &cluster.certificates),
                                     std::pair("token_file", &cluster.token_file), std::pair("state", &cluster.state)}) {
      *value = root[key].as<std::string>();
    }
  } catch (const YAML::Exception&) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.string(), ": is not a file that muster local wrote. Remove it, or name a cluster with --address."));
  }
  return cluster;
}

}  // namespace muster
