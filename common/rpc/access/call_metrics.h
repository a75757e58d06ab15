// Counts Admission's calls in the server's metrics.
#pragma once

#include "common/metrics/rpc_metrics.h"
#include "common/rpc/access/admission.h"

namespace muster {

// Thread-safe.
class CallMetrics final : public CallObserver {
 public:
  explicit CallMetrics(MetricRegistry& metrics) : metrics_(metrics) {}

  void Ended(std::string_view method, absl::StatusCode code, absl::Duration time) override;
  void Rejected(std::string_view reason) override;

 private:
  RpcMetrics metrics_;
};

}  // namespace muster
