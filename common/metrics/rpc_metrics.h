// Metrics that every server keeps about its calls.
#pragma once

#include <string>

#include "common/metrics/registry.h"

namespace muster {

// Thread-safe.
class RpcMetrics {
 public:
  explicit RpcMetrics(MetricRegistry& metrics);

  // A call was answered. `method`: one that the server has, such as "muster.v1.JobService/SubmitJob"; never pass an
  // unknown one, because labels are bounded. `code`: gRPC's name, such as "NOT_FOUND".
  void Count(const std::string& method, const std::string& code, double seconds);
  // A call was refused before its handler saw it: unauthenticated, denied, rate_limited or too_large.
  void Reject(const std::string& reason);

 private:
  CounterFamily requests_, rejections_;
  HistogramFamily seconds_;
};

}  // namespace muster
