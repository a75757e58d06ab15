// Waiting before a retry.
#pragma once

#include <grpcpp/channel.h>

#include "absl/time/time.h"

namespace muster {

// Waits for `pause`, or less if the channel connects meanwhile (but at least 100 ms).
//
// gRPC makes progress on a channel's connection, TLS handshake included, only while some call on it polls. A call that
// fails fast on a broken channel does not poll, so a client that sleeps between its tries may never reconnect. This
// polls.
void PauseBeforeRetry(grpc::Channel& channel, absl::Duration pause);

}  // namespace muster
