#include "client/find_job.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/call.h"
#include "client/job_list.h"
#include "client/words.h"
#include "common/spec/job_source.h"

namespace muster {
namespace {

using muster::v1::Job;
using muster::v1::JobService;

constexpr size_t kShownCandidates = 5;

absl::Status Several(const std::string& what, const std::vector<ListedJob>& jobs, const std::string& remedy) {
  std::vector<std::string> shown;
  for (size_t i = 0; i < std::min(jobs.size(), kShownCandidates); ++i) {
    shown.push_back(absl::StrCat(jobs[i].id, " (", jobs[i].name, ", ", jobs[i].phase, ")"));
  }
  if (jobs.size() > kShownCandidates) shown.push_back("…");
  return absl::InvalidArgumentError(absl::StrCat(what, ": ", absl::StrJoin(shown, ", "), ". ", remedy));
}

// Adds the jobs of a list that `fits`, until there are more than an error shows.
template <typename Fits>
absl::Status AddListed(JobService::Stub& stub, muster::v1::ListJobsRequest request, const Fits& fits,
                       std::vector<ListedJob>& found) {
  request.set_view(muster::v1::JOB_VIEW_SUMMARY);
  return VisitJobPages(stub, std::move(request), 0, [&](const muster::v1::ListJobsResponse& page) {
           for (const auto& summary : SummariesOf(page)) {
             ListedJob job = {summary.id(), summary.name(), WordOf(summary.phase())};
             if (fits(job)) found.push_back(std::move(job));
           }
           return found.size() <= kShownCandidates;
         })
      .status();
}

}  // namespace

absl::StatusOr<std::string> ChooseJob(const std::string& given, const std::vector<ListedJob>& jobs) {
  std::vector<ListedJob> named, begun;
  for (const ListedJob& job : jobs) {
    if (job.id == given) return given;
    if (job.name == given) named.push_back(job);
    if (absl::StartsWith(job.id, given)) begun.push_back(job);
  }
  if (named.size() > 1) return Several(absl::StrCat("several jobs are named \"", given, "\""), named, "Give an id.");
  if (named.size() == 1) return named.front().id;
  if (begun.size() > 1) {
    return Several(absl::StrCat("several jobs have an id that begins with \"", given, "\""), begun, "Give more of the id.");
  }
  if (begun.size() == 1) return begun.front().id;
  return absl::NotFoundError(absl::StrCat("there is no job \"", given, "\". See muster jobs."));
}

absl::StatusOr<std::string> FindJobId(JobService::Stub& stub, const std::string& given) {
  if (given.empty()) return ChooseJob(given, {});
  std::vector<ListedJob> jobs;
  muster::v1::ListJobsRequest by_name;
  by_name.set_name_prefix(given);
  RETURN_IF_ERROR(AddListed(stub, by_name, [&](const ListedJob& job) { return job.name == given; }, jobs));
  if (!jobs.empty()) return ChooseJob(given, jobs);
  muster::v1::ListJobsRequest by_id;
  by_id.set_id_prefix(given);
  RETURN_IF_ERROR(AddListed(stub, by_id, [&](const ListedJob& job) { return absl::StartsWith(job.id, given); }, jobs));
  return ChooseJob(given, jobs);
}

absl::StatusOr<Job> GetNamedJob(JobService::Stub& stub, const std::string& given) {
  return WithJob(stub, given, [&stub](const std::string& id) -> absl::StatusOr<Job> {
    muster::v1::GetJobRequest request;
    request.set_id(id);
    ASSIGN_OR_RETURN(auto response, Call(stub, &JobService::Stub::GetJob, request));
    return std::move(*response.mutable_job());
  });
}

absl::Status CompleteModelJob(JobService::Stub& stub, muster::v1::JobSpec& spec) {
  if (!NamesJob(spec.model().from())) return absl::OkStatus();
  absl::StatusOr<JobSource> source = ParseJobSource(spec.model().from());
  if (!source.ok()) return WithContext(source.status(), "model.from");
  const absl::StatusOr<Job> job = GetNamedJob(stub, source->job);
  if (absl::IsNotFound(job.status())) return absl::OkStatus();
  if (!job.ok()) return WithContext(job.status(), "model.from");
  source->job = job->id();
  spec.mutable_model()->set_from(ToString(*source));
  return absl::OkStatus();
}

}  // namespace muster
