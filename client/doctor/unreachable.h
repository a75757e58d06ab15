// Why a command got no answer from the coordinator: gRPC says that a handshake failed, not which certificate is wrong.
#pragma once

#include <string>

#include "client/connection.h"
#include "client/doctor/tls_probe.h"

namespace muster {

// One sentence for a user, and what to do; "" where a look from outside finds nothing wrong. Pure.
// `speaks_tls`: a server that was asked without TLS shows a certificate.
std::string DescribeUnreachable(const Endpoint& endpoint, const TlsFacts& facts, bool speaks_tls);

// Looks at the coordinator for a second at most. Returns `text` where nothing is wrong with the way to it.
std::string WhyUnreachable(const ConnectionFlags& flags, const std::string& text);

}  // namespace muster
