#include "common/metrics/rpc_metrics.h"

namespace muster {

RpcMetrics::RpcMetrics(MetricRegistry& metrics)
    : requests_(metrics.Counters("muster_rpc_requests_total")),
      rejections_(metrics.Counters("muster_rpc_rejections_total")),
      seconds_(metrics.Histograms("muster_rpc_seconds")) {}

void RpcMetrics::Count(const std::string& method, const std::string& code, double seconds) {
  requests_.With({method, code}).Increment();
  seconds_.With({method}).Observe(seconds);
}

void RpcMetrics::Reject(const std::string& reason) { rejections_.With({reason}).Increment(); }

}  // namespace muster
