// Looks at a server as TLS sees it, without gRPC: why a connection fails is not to be had from there.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/doctor/cluster_checks.h"
#include "common/rpc/security.h"

namespace muster {

struct TlsFacts {
  std::string tcp_error, handshake_error;  // empty: none
  std::optional<PeerCertificate> server;  // what it showed, also where it is not trusted
};

// Connects to host:port; the handshake is left out where `security` is insecure.
TlsFacts ProbeTls(const std::string& address, const SecurityOptions& security, absl::Duration within);

// The certificate in a folder, as its peers will see it. Nothing is wrong with a folder that has none but ca.pem.
absl::StatusOr<std::optional<PeerCertificate>> ReadCertificate(const std::filesystem::path& folder, absl::Time now);

}  // namespace muster
