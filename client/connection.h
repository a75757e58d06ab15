// Where the cluster is and how to authenticate: flags override the environment, which overrides
// ~/.config/muster/config.yaml.
#pragma once

#include <grpcpp/channel.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "client/remembered.h"
#include "common/rpc/security.h"

namespace muster {

struct ConnectionFlags {  // as given on the command line; empty: not given
  std::string address;
  std::string certificates;
  std::string token_file;
  bool insecure = false;
};

struct Endpoint {
  std::string address;
  SecurityOptions security;
  std::string remembered_state{};  // the state folder of `muster local`, if its remembered address is used; otherwise empty
};

// Keys address, certs, token_file and insecure. Its paths may begin with "~/"; relative ones start at the file's folder.
struct ConfigFile {
  std::filesystem::path path;
  std::string text;  // empty: no file
};

// `environment`: value of a variable, if set. Each setting is taken from the first place that has it. --insecure
// overrides the certificates and tokens of the environment and the file. It is refused together with a flag for a
// token, which would be sent unencrypted. The cluster of `muster local` is used, with its own certificates and token, if
// nothing else names an address.
absl::StatusOr<Endpoint> ResolveEndpoint(const ConnectionFlags& flags,
                                         const std::function<std::optional<std::string>(const char*)>& environment,
                                         const ConfigFile& config,
                                         const std::optional<RememberedCluster>& remembered = std::nullopt);

// A server that listens on all addresses (0.0.0.0, [::]) is reached at the coordinator's host.
std::string ReachableAddress(const std::string& address, const std::string& coordinator_address);

class Connection {
 public:
  static absl::StatusOr<Connection> Open(const ConnectionFlags& flags);
  // The target of Open, from flags, environment and configuration file.
  static absl::StatusOr<Endpoint> Where(const ConnectionFlags& flags);

  const std::shared_ptr<grpc::Channel>& coordinator() const { return coordinator_; }
  // A channel to the cluster's data server; asks the coordinator where it is.
  absl::StatusOr<std::shared_ptr<grpc::Channel>> Data() const;
  const std::string& address() const { return endpoint_.address; }

 private:
  Endpoint endpoint_;
  std::shared_ptr<grpc::Channel> coordinator_;
};

}  // namespace muster
