#include "client/study/study_jobs.h"

#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/call.h"
#include "client/find_job.h"
#include "client/job_list.h"
#include "client/query_values.h"
#include "client/step_log.h"
#include "client/stored_file.h"
#include "common/query_values_file.h"
#include "common/rpc/blobs.h"
#include "common/spec/label_noise.h"
#include "common/status.h"

namespace muster {
namespace {

using muster::v1::Job;
using muster::v1::JobService;
using muster::v1::JobSummary;

muster::v1::ListJobsRequest RequestFor(const StudyFile& study) {
  muster::v1::ListJobsRequest request;
  request.set_name_prefix(absl::StrCat(study.name, "."));
  return request;
}

// Adds the values by query if the job has stored them.
absl::Status AddQueryValues(BlobClient& blobs, const std::string& manifest, CellResult& result) {
  ASSIGN_OR_RETURN(const std::optional<std::string> text, ReadStoredFile(blobs, manifest, kQueryValuesFile));
  if (!text.has_value()) return absl::OkStatus();
  ASSIGN_OR_RETURN(QueryValues values, ParseQueryValues(*text));
  result.by_query = std::move(values.values);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<CellJob>> FindStudyJobs(JobService::Stub& stub, const StudyFile& study) {
  muster::v1::ListJobsRequest request = RequestFor(study);
  request.set_view(muster::v1::JOB_VIEW_SUMMARY);
  std::vector<JobSummary> jobs;
  const auto listed = VisitJobPages(stub, request, 0, [&](muster::v1::ListJobsResponse& page) {
    for (JobSummary& job : SummariesOf(page)) jobs.push_back(std::move(job));
    return true;
  });
  if (!listed.ok()) return listed.status();
  return MatchJobs(study, jobs);
}

absl::StatusOr<JobSummary> SubmitCell(JobService::Stub& stub, const StudyCell& cell, size_t ended,
                                      std::vector<std::string>& notes) {
  muster::v1::SubmitJobRequest request;
  *request.mutable_spec() = cell.spec;
  request.set_request_id(StudyRequestId(cell, ended));
  RETURN_IF_ERROR(CompleteModelJob(stub, *request.mutable_spec()));
  std::vector<std::string> of_job;
  const auto submitted = Call(stub, &JobService::Stub::SubmitJob, request, {.patience = absl::Seconds(20), .notes = &of_job});
  if (!submitted.ok()) return WithContext(submitted.status(), cell.job_name);
  notes.insert(notes.end(), of_job.begin(), of_job.end());
  return SummaryOf(submitted->job());
}

absl::StatusOr<std::vector<CellResult>> FetchResults(const Connection& connection, const StudyFile& study) {
  const auto stub = JobService::NewStub(connection.coordinator());
  std::vector<JobSummary> summaries;
  std::map<std::string, CellResult> results;  // by job
  std::map<std::string, Job> stored;          // by job: its id, specification, and the folder with its step log
  const auto listed = VisitJobPages(*stub, RequestFor(study), 0, [&](muster::v1::ListJobsResponse& page) {
    for (const Job& job : page.jobs()) {
      summaries.push_back(SummaryOf(job));
      results[job.id()] = ResultOf(job);
      Job& kept = stored[job.id()];
      kept.set_id(job.id());
      *kept.mutable_spec() = job.spec();
      kept.set_step_log_manifest(job.step_log_manifest());
    }
    return true;
  });
  if (!listed.ok()) return listed.status();
  ASSIGN_OR_RETURN(const auto channel, connection.Data());
  BlobClient blobs(channel);
  std::vector<CellResult> found;
  for (const CellJob& cell : MatchJobs(study, summaries)) {
    CellResult& result = found.emplace_back();
    if (!cell.job.has_value()) continue;
    result = results.at(cell.job->id());
    const Job& job = stored.at(cell.job->id());
    if (!result.done || job.step_log_manifest().empty()) continue;
    const absl::Status status = AddQueryValues(blobs, job.step_log_manifest(), result);
    if (absl::IsUnavailable(status)) return ExplainUnreachable(status);
    if (!status.ok()) result.by_query_note = "Values by query of some jobs could not be read. See muster doctor.";
    if (!HasNoise(job.spec().data())) continue;
    const auto log = FetchStepLog(blobs, job);
    if (absl::IsUnavailable(log.status())) return ExplainUnreachable(log.status());
    if (log.ok()) result.noise_weight = NoiseWeightOf(*log);
  }
  return found;
}

}  // namespace muster
