// The page of one job, and the page that compares several. Pure.
#pragma once

#include <string>

#include "absl/types/span.h"
#include "client/report/reported_job.h"
#include "client/report/run_tests.h"

namespace muster {

// `runs`: rankings of this job's model; may be empty.
std::string JobReportHtml(const ReportedJob& job, const RunTests& runs, const ReportStamp& stamp);

// Takes 2 to kCurveColors jobs. `runs`: one per job, or empty.
std::string ComparisonReportHtml(absl::Span<const ReportedJob> jobs, const RunTests& runs, const ReportStamp& stamp);

}  // namespace muster
