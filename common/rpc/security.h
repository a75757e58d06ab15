// The one place where channels and servers are made, so that none is made without deciding on security.
//
// A folder of certificates holds ca.pem, cert.pem and key.pem (PEM). Both sides show a certificate of the same
// authority (mTLS, TLS 1.2 or newer). Who a peer is stands in its certificate's subject: organisational unit = role,
// common name = name.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace muster {

enum class Role { kUnknown, kUser, kCoordinator, kData, kWorker };
std::string_view RoleName(Role role);  // user, coordinator, data, worker
Role RoleFromName(std::string_view name);

// Who calls. Every handler has one.
struct Principal {
  Role role = Role::kUnknown;
  std::string name;
};

struct SecurityOptions {
  std::filesystem::path certificates;  // empty only with `insecure`
  bool insecure = false;               // no TLS, everyone is user "anonymous" with every role; loopback only
};

// Largest message that any server or client takes.
inline constexpr int kMaxMessageBytes = 64 << 20;

// A channel to host:port that keeps itself alive and reconnects with backoff (100 ms to 5 s). Does not connect yet.
absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const std::string& address,
                                                           const SecurityOptions& security);

class RpcServer {
 public:
  struct Options {
    std::string address;  // host:port; port 0 picks a free one
    SecurityOptions security;
    std::vector<grpc::Service*> services;  // must outlive the server
  };
  // Listens, with the standard health service on the same port ("" is SERVING).
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(const Options& options);
  ~RpcServer();  // Shutdown(0) unless it was called

  int port() const { return port_; }
  // What the health service on this port answers for "". After Shutdown it is NOT_SERVING whatever is set.
  void SetServing(bool serving);
  // Stops taking calls, lets running ones end for `grace`, then cancels them.
  void Shutdown(absl::Duration grace);
  void Wait() { server_->Wait(); }

 private:
  RpcServer() = default;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

// From the peer's certificate; on an insecure server {kUser, "anonymous"} that passes every Require.
Principal PrincipalOf(const grpc::ServerContext& context);

// OK if the peer has one of the roles; otherwise PERMISSION_DENIED that names what is needed. FAILED_PRECONDITION: the
// peer says a version (common/version.h) that does not work with this one.
absl::Status Require(const grpc::ServerContext& context, std::initializer_list<Role> roles);

}  // namespace muster
