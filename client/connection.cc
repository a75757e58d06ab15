#include "client/connection.h"

#include <yaml-cpp/yaml.h>

#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/call.h"
#include "common/files.h"
#include "common/status.h"
#include "muster/v1/cluster.grpc.pb.h"

namespace muster {
namespace {

constexpr char kConfigName[] = "~/.config/muster/config.yaml";

absl::StatusOr<ConnectionFlags> ParseConfig(const std::string& text) {
  ConnectionFlags config;
  try {
    const YAML::Node root = YAML::Load(text);
    if (root.IsNull()) return config;
    if (!root.IsMap()) return absl::InvalidArgumentError(absl::StrCat(kConfigName, ": must be keys and values"));
    for (const auto& entry : root) {
      const std::string key = entry.first.as<std::string>();
      if (key == "address") {
        config.address = entry.second.as<std::string>();
      } else if (key == "certs") {
        config.certificates = entry.second.as<std::string>();
      } else if (key == "token_file") {
        config.token_file = entry.second.as<std::string>();
      } else if (key == "insecure") {
        config.insecure = entry.second.as<bool>();
      } else {
        return absl::InvalidArgumentError(absl::StrCat(kConfigName, ":", entry.first.Mark().line + 1,
                                                       ": unknown key \"", key,
                                                       "\". Allowed: address, certs, token_file, insecure."));
      }
    }
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(kConfigName, ":", error.mark.line + 1, ": ", error.msg));
  }
  return config;
}

std::string FirstOf(const std::string& flag, const std::optional<std::string>& variable, const std::string& config) {
  if (!flag.empty()) return flag;
  return variable.has_value() && !variable->empty() ? *variable : config;
}

std::string ReadConfig() {
  const char* home = std::getenv("XDG_CONFIG_HOME");
  std::filesystem::path folder = home != nullptr && *home != '\0' ? home : "";
  if (folder.empty()) {
    const char* user = std::getenv("HOME");
    if (user == nullptr) return "";
    folder = std::filesystem::path(user) / ".config";
  }
  return ReadFile(folder / "muster/config.yaml").value_or("");
}

}  // namespace

absl::StatusOr<Endpoint> ResolveEndpoint(const ConnectionFlags& flags,
                                         const std::function<std::optional<std::string>(const char*)>& environment,
                                         const std::string& config_text) {
  ASSIGN_OR_RETURN(const ConnectionFlags config, ParseConfig(config_text));
  Endpoint endpoint;
  endpoint.address = FirstOf(flags.address, environment("MUSTER_ADDRESS"), config.address);
  if (endpoint.address.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "no cluster is named. Give --address HOST:PORT, MUSTER_ADDRESS, or address in ", kConfigName, "."));
  }
  const std::string certificates = FirstOf(flags.certificates, environment("MUSTER_CERTS"), config.certificates);
  endpoint.security.insecure = flags.insecure || (config.insecure && certificates.empty());
  if (endpoint.security.insecure) {  // tokens of environment and configuration are not sent
    if (flags.token_file.empty()) return endpoint;
    return absl::InvalidArgumentError("a token is not sent without TLS. Leave out --insecure, or --token-file.");
  }
  // MUSTER_TOKEN is the token itself; a flag for it would stand in every list of processes.
  endpoint.security.token_file = FirstOf(flags.token_file, environment("MUSTER_TOKEN_FILE"), "");
  if (endpoint.security.token_file.empty()) {
    endpoint.security.token = environment("MUSTER_TOKEN").value_or("");
    if (endpoint.security.token.empty()) endpoint.security.token_file = config.token_file;
  }
  if (certificates.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("no certificates are named. Give --certs DIR, MUSTER_CERTS, or certs "
                     "in ",
                     kConfigName, "; or --insecure for a cluster without TLS."));
  }
  endpoint.security.certificates = certificates;
  return endpoint;
}

std::string ReachableAddress(const std::string& address, const std::string& coordinator_address) {
  for (const char* unspecified : {"0.0.0.0:", "[::]:"}) {
    if (!absl::StartsWith(address, unspecified)) continue;
    const std::string host = coordinator_address.substr(0, coordinator_address.rfind(':'));
    return absl::StrCat(host, address.substr(address.rfind(':')));
  }
  return address;
}

absl::StatusOr<Endpoint> Connection::Where(const ConnectionFlags& flags) {
  const auto environment = [](const char* name) -> std::optional<std::string> {
    const char* value = std::getenv(name);
    return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
  };
  return ResolveEndpoint(flags, environment, ReadConfig());
}

absl::StatusOr<Connection> Connection::Open(const ConnectionFlags& flags) {
  Connection connection;
  ASSIGN_OR_RETURN(connection.endpoint_, Where(flags));
  auto channel = MakeChannel(connection.endpoint_.address, connection.endpoint_.security);
  if (!channel.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("certificates: ", channel.status().message(),
                                                   ". Give --certs a folder made by muster certs issue; with a token, one with ca.pem is enough."));
  }
  connection.coordinator_ = *std::move(channel);
  return connection;
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Connection::Data() const {
  const auto stub = muster::v1::ClusterService::NewStub(coordinator_);
  ASSIGN_OR_RETURN(const auto cluster,
                   Call(*stub, &muster::v1::ClusterService::Stub::GetCluster, muster::v1::GetClusterRequest()));
  if (cluster.data_addresses().empty()) {
    return absl::UnavailableError("the cluster has no data server at the moment. Is muster-data running?");
  }
  return MakeChannel(ReachableAddress(cluster.data_addresses(0), endpoint_.address), endpoint_.security);
}

}  // namespace muster
