#include "client/job_list.h"

#include <algorithm>
#include <utility>

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

absl::StatusOr<bool> VisitJobPages(muster::v1::JobService::Stub& stub, muster::v1::ListJobsRequest request, size_t limit,
                                   const std::function<bool(muster::v1::ListJobsResponse& page)>& visit) {
  size_t seen = 0;
  bool wanted = true;
  do {
    request.set_page_size(static_cast<uint32_t>(limit == 0 ? kLargestPage : std::min(limit - seen, kLargestPage)));
    ASSIGN_OR_RETURN(auto page, Call(stub, &muster::v1::JobService::Stub::ListJobs, request));
    request.set_page_token(page.next_page_token());
    page.clear_next_page_token();
    seen += page.jobs_size() + page.summaries_size();
    wanted = visit(page);
  } while (wanted && !request.page_token().empty() && (limit == 0 || seen < limit));
  return !request.page_token().empty();
}

absl::StatusOr<JobsPage> ListJobs(muster::v1::JobService::Stub& stub, muster::v1::ListJobsRequest request, size_t limit) {
  request.set_view(muster::v1::JOB_VIEW_SUMMARY);
  JobsPage found;
  if (limit == 0) return found;
  ASSIGN_OR_RETURN(found.more, VisitJobPages(stub, std::move(request), limit, [&](muster::v1::ListJobsResponse& page) {
    for (JobSummary& job : SummariesOf(page)) found.jobs.push_back(std::move(job));
    return true;
  }));
  return found;
}

}  // namespace muster
