#include "client/connection.h"

#include <yaml-cpp/yaml.h>

#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/call.h"
#include "common/files.h"
#include "common/nearest_name.h"
#include "common/status.h"
#include "muster/v1/cluster.grpc.pb.h"

namespace muster {
namespace {

constexpr char kNoCluster[] = "no cluster is named.";
constexpr char kConfigName[] = "~/.config/muster/config.yaml";

std::string HomeFolder() {
  const char* home = std::getenv("HOME");
  return home != nullptr ? home : "";
}

// A path of the configuration file: "~/" is the home folder, and a relative path starts at the file's folder.
std::string PathInConfig(const std::string& text, const std::filesystem::path& folder) {
  if (text.empty()) return text;
  if (text == "~" || absl::StartsWith(text, "~/")) return HomeFolder() + text.substr(1);
  return (folder / text).lexically_normal().string();
}

absl::Status SetKey(const std::string& key, const YAML::Node& value, const std::filesystem::path& folder,
                    ConnectionFlags& config) {
  if (!value.IsScalar()) return absl::InvalidArgumentError(absl::StrCat(key, ": must be a single value."));
  if (key == "address") {
    config.address = value.as<std::string>();
  } else if (key == "certs") {
    config.certificates = PathInConfig(value.as<std::string>(), folder);
  } else if (key == "token_file") {
    config.token_file = PathInConfig(value.as<std::string>(), folder);
  } else if (key == "insecure") {
    if (!YAML::convert<bool>::decode(value, config.insecure)) {
      return absl::InvalidArgumentError(absl::StrCat("insecure: \"", value.Scalar(), "\" is not true or false."));
    }
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown key \"", key, "\". ", AllowedNames(key, {"address", "certs", "token_file", "insecure"})));
  }
  return absl::OkStatus();
}

absl::StatusOr<ConnectionFlags> ParseConfig(const ConfigFile& file) {
  const std::string name = file.path.empty() ? kConfigName : file.path.string();
  ConnectionFlags config;
  try {
    const YAML::Node root = YAML::Load(file.text);
    if (root.IsNull()) return config;
    if (!root.IsMap()) return absl::InvalidArgumentError(absl::StrCat(name, ": must be keys and values"));
    for (const auto& entry : root) {
      const absl::Status status = SetKey(entry.first.as<std::string>(), entry.second, file.path.parent_path(), config);
      if (!status.ok()) {
        return absl::InvalidArgumentError(absl::StrCat(name, ":", entry.first.Mark().line + 1, ": ", status.message()));
      }
    }
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(name, ":", error.mark.line + 1, ": ", error.msg));
  }
  return config;
}

std::string FirstOf(const std::string& flag, const std::optional<std::string>& variable, const std::string& config) {
  if (!flag.empty()) return flag;
  return variable.has_value() && !variable->empty() ? *variable : config;
}

ConfigFile ReadConfig(const std::filesystem::path& folder) {
  if (folder.empty()) return {};
  ConfigFile file;
  file.path = folder / "config.yaml";
  file.text = ReadFile(file.path).value_or("");
  return file;
}

// A named file that cannot be read is a wrong argument, not an answer of the cluster.
absl::Status CheckTokenFile(const std::filesystem::path& file) {
  const absl::StatusOr<std::string> text = ReadFile(file);
  if (!text.ok()) return absl::InvalidArgumentError(absl::StrCat("token file: ", text.status().message()));
  if (absl::StripAsciiWhitespace(*text).empty()) {
    return absl::InvalidArgumentError(absl::StrCat("token file: ", file.string(), " is empty. Issue a token: muster tokens issue."));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Endpoint> ResolveEndpoint(const ConnectionFlags& flags,
                                         const std::function<std::optional<std::string>(const char*)>& environment,
                                         const ConfigFile& config_file,
                                         const std::optional<RememberedCluster>& remembered) {
  ASSIGN_OR_RETURN(ConnectionFlags config, ParseConfig(config_file));
  Endpoint endpoint;
  endpoint.address = FirstOf(flags.address, environment("MUSTER_ADDRESS"), config.address);
  const bool uses_remembered = endpoint.address.empty() && remembered.has_value();
  // In this case certificates and tokens in the environment belong to another cluster.
  const auto variable = [&](const char* name) { return uses_remembered ? std::nullopt : environment(name); };
  if (uses_remembered) {
    endpoint.address = remembered->address;
    endpoint.remembered_state = remembered->state;
    config = {.certificates = remembered->certificates};
    if (flags.certificates.empty()) config.token_file = remembered->token_file;  // certificates that the user named win
  }
  if (endpoint.address.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        kNoCluster, " Give --address HOST:PORT, set MUSTER_ADDRESS, or set address in ", kConfigName,
        "; or start a cluster: muster local."));
  }
  const std::string certificates = FirstOf(flags.certificates, variable("MUSTER_CERTS"), config.certificates);
  endpoint.security.insecure = flags.insecure || (config.insecure && certificates.empty());
  if (endpoint.security.insecure) {  // tokens of environment and configuration are not sent
    if (flags.token_file.empty()) return endpoint;
    return absl::InvalidArgumentError("a token is not sent without TLS. Leave out --insecure, or --token-file.");
  }
  // MUSTER_TOKEN is the token itself; a flag for it would be visible in every list of processes.
  endpoint.security.token_file = FirstOf(flags.token_file, variable("MUSTER_TOKEN_FILE"), "");
  if (endpoint.security.token_file.empty()) {
    endpoint.security.token = variable("MUSTER_TOKEN").value_or("");
    if (endpoint.security.token.empty()) endpoint.security.token_file = config.token_file;
  }
  if (certificates.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("no certificates are named. Give --certs DIR, set MUSTER_CERTS, or set certs in ", kConfigName,
                     "; or give --insecure for a cluster without TLS."));
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
  const std::filesystem::path folder = ConfigFolder();
  const auto remembered = ReadRemembered(folder);
  absl::StatusOr<Endpoint> endpoint = ResolveEndpoint(flags, environment, ReadConfig(folder), remembered.value_or(std::nullopt));
  // A remembered file that cannot be read matters only where no other place names the cluster.
  if (!remembered.ok() && absl::StartsWith(endpoint.status().message(), kNoCluster)) return remembered.status();
  return endpoint;
}

absl::StatusOr<Connection> Connection::Open(const ConnectionFlags& flags) {
  Connection connection;
  ASSIGN_OR_RETURN(connection.endpoint_, Where(flags));
  const SecurityOptions& security = connection.endpoint_.security;
  if (!security.token_file.empty()) RETURN_IF_ERROR(CheckTokenFile(security.token_file));
  auto channel = MakeChannel(connection.endpoint_.address, connection.endpoint_.security);
  if (!channel.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("certificates: ", channel.status().message(),
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
