#include "common/spec/report_metrics.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/retrieval/metric_name.h"
#include "common/status.h"

namespace muster {

absl::Status CheckReportMetrics(const muster::v1::ReportSpec& report) {
  constexpr int kMostMetrics = 50;  // each one is a time series of the coordinator
  const auto& metrics = report.metrics();
  if (metrics.size() > kMostMetrics) {
    return absl::InvalidArgumentError(absl::StrCat("report.metrics: has ", metrics.size(), " metrics, at most ", kMostMetrics,
                                                   " are measured. Remove some."));
  }
  for (int i = 0; i < metrics.size(); ++i) {
    const std::string field = absl::StrCat("report.metrics[", i, "]");
    if (const auto metric = ParseMetricName(metrics[i]); !metric.ok()) return WithContext(metric.status(), field);
    if (std::find(metrics.begin(), metrics.begin() + i, metrics[i]) != metrics.begin() + i) {
      return absl::InvalidArgumentError(absl::StrCat(field, ": \"", metrics[i], "\" is in the list already. Remove it."));
    }
  }
  return absl::OkStatus();
}

}  // namespace muster
