// Makes all channels and servers, so that each one has explicit security options.
//
// A server shows a certificate, asks its client for one, and verifies what it gets (mTLS, TLS 1.2 or newer); a client
// without a certificate may show a token instead (common/rpc/access). A peer's identity is in its certificate's
// subject: organizational unit = role, common name = name. Certificates are read again when their files change.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/principal.h"

namespace muster {

struct SecurityOptions {
  std::filesystem::path certificates;  // folder (common/rpc/certificate_folder.h); empty only with `insecure`
  bool insecure = false;               // no TLS, everyone is operator "anonymous" and every process; loopback only
  // For clients: sent with every call, only over TLS. At most one of the two.
  std::string token;
  std::filesystem::path token_file;  // read again when it changes
  // For ranks: the ticket for the data server (common/rpc/access/ticket.h), shown with every call. Bytes.
  std::string ticket;
};

// The largest message that a client receives, and that a server sends.
inline constexpr int kMaxMessageBytes = 64 << 20;
// The largest message that a server receives. Chunks have 1 MiB.
inline constexpr int kMaxRequestBytes = 4 << 20;

// A channel to host:port that keeps itself alive and reconnects with backoff (100 ms to 5 s). Does not connect yet.
absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const std::string& address,
                                                           const SecurityOptions& security);

class RpcServer {
 public:
  struct Options {
    std::string address;  // host:port; port 0 picks a free one
    SecurityOptions security;
    std::vector<grpc::Service*> services;  // must outlive the server
    // Every call holds a thread while it runs, and a stream holds one for as long as it is open, unless it is a reactor.
    // Calls beyond this limit are refused with RESOURCE_EXHAUSTED, before the host refuses the process another thread.
    int max_threads = 4000;
    // Whether the receive window grows with the bandwidth of the network (from 64 KiB). Measuring it costs a ping, its
    // answer and a timer per burst of data: with a thousand sessions that send something small every few seconds, that is
    // half of what they cost. For servers that take uploads.
    bool measures_bandwidth = true;
  };
  // Listens, with the standard health service on the same port ("" is SERVING).
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(const Options& options);
  ~RpcServer();  // Shutdown(0) unless it was called

  int port() const { return port_; }
  // Sets the answer of the health service on this port for "". After Shutdown it is always NOT_SERVING.
  void SetServing(bool serving);
  // Stops taking calls, lets running ones end for `grace`, then cancels them.
  void Shutdown(absl::Duration grace);
  void Wait() { server_->Wait(); }

 private:
  RpcServer() = default;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

// From the peer's certificate; without one there is no role. On an insecure server {kOperator, "anonymous", kInsecure}.
Principal PrincipalOf(const grpc::ServerContextBase& context);

// FAILED_PRECONDITION: the peer reports a version (common/version.h) that does not work with this one.
absl::Status CheckPeerVersion(const grpc::ServerContextBase& context);

}  // namespace muster
