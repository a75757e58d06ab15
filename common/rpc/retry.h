// Waiting before a call is repeated.
#pragma once

#include <grpcpp/channel.h>

#include "absl/time/time.h"

namespace muster {

// Waits for `pause`, or less if the channel gets connected meanwhile (but 100 ms at least).
//
// gRPC drives a channel's connection, TLS handshake included, only while some call on it polls, and a call that fails
// fast on a broken channel does not: a client that sleeps between its tries may never connect again. This polls.
void PauseBeforeRetry(grpc::Channel& channel, absl::Duration pause);

}  // namespace muster
