// The rules of report.metrics.
#pragma once

#include "absl/status/status.h"
#include "muster/v1/job.pb.h"

namespace muster {

// INVALID_ARGUMENT with "report.metrics[1]: what is wrong. What to do." for the first name that is not a metric, or is given twice.
absl::Status CheckReportMetrics(const muster::v1::ReportSpec& report);

}  // namespace muster
