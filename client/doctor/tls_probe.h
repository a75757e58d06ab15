// Examines a server's TLS without gRPC, which does not report why a connection fails.
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
  std::optional<PeerCertificate> server;  // the certificate that it presented, even if it is not trusted
};

// Connects to host:port; the handshake is left out where `security` is insecure.
TlsFacts ProbeTls(const std::string& address, const SecurityOptions& security, absl::Duration within);

// The certificate in a folder, as peers will see it. A folder with only ca.pem is valid.
absl::StatusOr<std::optional<PeerCertificate>> ReadCertificate(const std::filesystem::path& folder, absl::Time now);

}  // namespace muster
