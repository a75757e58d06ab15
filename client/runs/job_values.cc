#include "client/runs/job_values.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/call.h"
#include "client/find_job.h"
#include "client/report_files.h"
#include "common/rpc/blobs.h"
#include "common/status.h"

namespace muster {
namespace {

using muster::v1::Job;
using muster::v1::JobService;

absl::Status Differ(const Job& a, const Job& b, const std::string& how) {
  return absl::InvalidArgumentError(absl::StrCat(JobLabel(a), " and ", JobLabel(b), " cannot be compared query by query: ",
                                                 how));
}

std::string ContentOf(const Job& job) { return job.resolved().report_dataset().substr(0, 12); }

}  // namespace

std::string JobLabel(const Job& job) { return absl::StrCat(job.spec().name(), " (", job.id(), ")"); }

absl::StatusOr<std::vector<JobValues>> FetchJobValues(const Connection& connection, const std::vector<std::string>& given) {
  const auto stub = JobService::NewStub(connection.coordinator());
  std::vector<JobValues> jobs;
  for (const std::string& name : given) {
    ASSIGN_OR_RETURN(Job job, GetNamedJob(*stub, name));
    const auto is_it = [&job](const JobValues& other) { return other.job.id() == job.id(); };
    if (std::any_of(jobs.begin(), jobs.end(), is_it)) {
      return absl::InvalidArgumentError(absl::StrCat("job ", job.id(), " is given twice. Leave one out."));
    }
    jobs.push_back({.job = std::move(job), .values = {}});
  }
  ASSIGN_OR_RETURN(const auto channel, connection.Data());
  BlobClient blobs(channel);
  for (JobValues& one : jobs) {
    auto values = FetchQueryValues(blobs, one.job);
    if (!values.ok()) return ExplainUnreachable(values.status());
    one.values = *std::move(values);
  }
  return jobs;
}

absl::Status CheckSameQueries(const JobValues& a, const JobValues& b) {
  const auto &of_a = a.job.spec().report(), &of_b = b.job.spec().report();
  // Names may differ where contents do not.
  if (a.job.resolved().report_dataset() != b.job.resolved().report_dataset()) {
    const bool same_name = of_a.dataset() == of_b.dataset();
    return Differ(a.job, b.job,
                  absl::StrCat("the first was measured on dataset ", of_a.dataset(), " (", ContentOf(a.job),
                               "), the second on ",
                               same_name ? "other content of that name" : absl::StrCat("dataset ", of_b.dataset()), " (",
                               ContentOf(b.job), "). Measure one of them again with muster eval."));
  }
  if (of_a.split() != of_b.split()) {
    return Differ(a.job, b.job, absl::StrCat("the first was measured on split ", of_a.split(), ", the second on split ",
                                             of_b.split(), ". Measure one of them again with muster eval."));
  }
  if (of_a.ignore_identical_ids() != of_b.ignore_identical_ids()) {
    return Differ(a.job, b.job, "only one of them leaves the document with a query's id out of its ranking "
                                "(report.ignore_identical_ids). Measure one of them again with muster eval.");
  }
  if (a.values.queries == b.values.queries) return absl::OkStatus();
  return Differ(a.job, b.job, absl::StrCat("they have values of ", a.values.queries.size(), " and ", b.values.queries.size(),
                                           " queries, which are not the same ones. Measure both again with one version of "
                                           "Muster."));
}

absl::StatusOr<JudgedRun> RunOf(const JobValues& job, const std::vector<std::string>& metrics) {
  JudgedRun run;
  for (const uint32_t query : job.values.queries) run.queries.push_back(absl::StrCat(query));
  for (const std::string& metric : metrics) {
    const auto found = job.values.values.find(metric);
    if (found == job.values.values.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--metric: ", JobLabel(job.job), " has not measured ", metric, ". It has ",
                       absl::StrJoin(MetricNamesOf(job.values), ", "),
                       ". Name one of these, or measure the model again with muster eval --metric ", metric, "."));
    }
    run.values.push_back(found->second);
  }
  if (run.queries.size() >= 2) return run;
  return absl::InvalidArgumentError(
      absl::StrCat(JobLabel(job.job), ": one query says nothing about others: intervals and tests need at least two."));
}

}  // namespace muster
