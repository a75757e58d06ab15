#include "common/rpc/access/call_metrics.h"

#include <string>

namespace muster {

void CallMetrics::Ended(std::string_view method, absl::StatusCode code, absl::Duration time) {
  metrics_.Count(std::string(method), absl::StatusCodeToString(code), absl::ToDoubleSeconds(time));
}

void CallMetrics::Rejected(std::string_view reason) { metrics_.Reject(std::string(reason)); }

}  // namespace muster
