// What every server counts of its calls.
#pragma once

#include <string>

#include "common/metrics/registry.h"

namespace muster {

// Thread-safe.
class RpcMetrics {
 public:
  explicit RpcMetrics(MetricRegistry& metrics);

  // A call has its answer. `method`: one that the server has, "muster.v1.JobService/Submit"; an unknown one must not
  // come here, as labels are bounded. `code`: gRPC's name, "NOT_FOUND".
  void Count(const std::string& method, const std::string& code, double seconds);
  // A call was refused before its handler saw it: unauthenticated, denied, rate_limited or too_large.
  void Reject(const std::string& reason);

 private:
  CounterFamily requests_, rejections_;
  HistogramFamily seconds_;
};

}  // namespace muster
