// Why a command got no answer from the coordinator: gRPC reports that a handshake failed, but not which certificate is
// wrong.
#pragma once

#include <string>

#include "client/connection.h"
#include "client/doctor/tls_probe.h"

namespace muster {

// One sentence for the user, with what to do; "" if no problem was found. Pure. `speaks_tls`: a server that was
// contacted without TLS presents a certificate.
std::string DescribeUnreachable(const Endpoint& endpoint, const TlsFacts& facts, bool speaks_tls);

// Examines the coordinator for at most one second. Returns `text` if no problem was found on the way to it.
std::string WhyUnreachable(const ConnectionFlags& flags, const std::string& text);

}  // namespace muster
