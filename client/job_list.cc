#include "client/job_list.h"

#include <algorithm>

#include "client/call.h"
#include "common/status.h"

namespace muster {

using muster::v1::Job;
using muster::v1::JobSummary;

constexpr size_t kLargestPage = 1000;

JobSummary SummaryOf(const Job& job) {
  JobSummary summary;
  summary.set_id(job.id());
  summary.set_name(job.spec().name());
  summary.set_phase(job.phase());
  summary.set_reason(job.reason());
  summary.set_owner(job.owner());
  summary.set_queue(job.spec().resources().queue());
  *summary.mutable_submitted() = job.submitted();
  if (job.has_ended()) *summary.mutable_ended() = job.ended();
  summary.set_step(job.progress().step());
  summary.set_total_steps(job.progress().total_steps() != 0 ? job.progress().total_steps() : job.resolved().total_steps());
  summary.set_eta_seconds(job.progress().eta_seconds());
  return summary;
}

std::vector<JobSummary> SummariesOf(const muster::v1::ListJobsResponse& page) {
  std::vector<JobSummary> summaries(page.summaries().begin(), page.summaries().end());
  for (const Job& job : page.jobs()) summaries.push_back(SummaryOf(job));
  return summaries;
}

absl::StatusOr<JobsPage> ListJobs(muster::v1::JobService::Stub& stub, muster::v1::ListJobsRequest request, size_t limit) {
  request.set_view(muster::v1::JOB_VIEW_SUMMARY);
  JobsPage found;
  do {
    request.set_page_size(static_cast<uint32_t>(std::min(limit - found.jobs.size(), kLargestPage)));
    ASSIGN_OR_RETURN(const auto page, Call(stub, &muster::v1::JobService::Stub::ListJobs, request));
    for (JobSummary& job : SummariesOf(page)) found.jobs.push_back(std::move(job));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty() && found.jobs.size() < limit);
  found.more = !request.page_token().empty();
  return found;
}

}  // namespace muster
