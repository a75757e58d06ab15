// Shared by all handlers of the data server.
#pragma once

#include <grpcpp/server_context.h>

#include <atomic>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/rpc/access/admission.h"
#include "common/rpc/operations.h"
#include "coordinator/data/service/assignment_gate.h"
#include "common/status.h"
#include "coordinator/data/service/attempt_fence.h"
#include "coordinator/data/service/data_metrics.h"
#include "coordinator/data/service/data_stores.h"
#include "coordinator/data/service/share_sources.h"
#include "coordinator/data/service/store_budget.h"

namespace muster {

// All outlive the services.
struct DataContext {
  DataStores& stores;
  ShareSources& sources;
  AttemptFence& fence;
  DataMetrics& metrics;
  Admission& admission;
  const AssignmentGate& gate;
  StoreBudget& budget;
  Operations& operations;
  const Clock& clock;
  const std::atomic<bool>& stopping;  // true once the server shuts down: streams end, clients reconnect
};

// OK if one call may name this many digests.
inline absl::Status CheckDigestCount(int digests) {
  constexpr int kMaxDigests = 1000;
  if (digests <= kMaxDigests) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("digests: ", digests, " of them, at most ", kMaxDigests, " a call"));
}

// Not OK once the call need not continue: it was canceled, or the server stops.
inline absl::Status CheckAlive(const DataContext& data, const grpc::ServerContext& call) {
  if (call.IsCancelled()) return absl::CancelledError("the client cancelled the call");
  if (data.stopping) {
    return WithRetryAfter(WithReason(absl::UnavailableError("the data server shuts down. Try again."), "SHUTTING_DOWN"),
                          absl::Seconds(2));
  }
  return absl::OkStatus();
}

}  // namespace muster
