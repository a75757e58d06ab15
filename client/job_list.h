// Lists of jobs, as tables show them.
#pragma once

#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "muster/v1/job.grpc.pb.h"

namespace muster {

// A job without its specification and histories.
muster::v1::JobSummary SummaryOf(const muster::v1::Job& job);

// The summaries of a page. A coordinator without summaries sends whole jobs.
std::vector<muster::v1::JobSummary> SummariesOf(const muster::v1::ListJobsResponse& page);

// Calls `visit` with each page of the list, until it returns false or has seen `limit` jobs (0: all). Pages may be short or
// empty; their tokens are cleared. Returns whether there are more.
absl::StatusOr<bool> VisitJobPages(muster::v1::JobService::Stub& stub, muster::v1::ListJobsRequest request, size_t limit,
                                   const std::function<bool(muster::v1::ListJobsResponse& page)>& visit);

struct JobsPage {
  std::vector<muster::v1::JobSummary> jobs;
  bool more = false;  // the coordinator has more of them
};
// At most `limit` jobs.
absl::StatusOr<JobsPage> ListJobs(muster::v1::JobService::Stub& stub, muster::v1::ListJobsRequest request, size_t limit);

}  // namespace muster
