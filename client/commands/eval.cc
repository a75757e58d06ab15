// muster eval MODEL DATASET...: submits one job per dataset that only evaluates the model, and follows them all.
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/call.h"
#include "client/commands/commands.h"
#include "client/commands/follow.h"
#include "client/find_job.h"
#include "client/interrupt.h"
#include "client/job_file.h"
#include "client/progress.h"
#include "client/runs/run_flags.h"
#include "client/words.h"
#include "common/status.h"
#include "muster/v1/job.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::Evaluation;
using muster::v1::Job;
using muster::v1::JobService;
using Json = nlohmann::ordered_json;

struct EvalFlags {
  std::string model;
  std::vector<std::string> datasets;  // NAME or NAME/SPLIT
  std::string split = "test";
  std::vector<std::string> overrides;
  std::string request_id;
};

struct EvaluatedSplit {
  std::string dataset, split;
};
EvaluatedSplit SplitOf(const std::string& given, const EvalFlags& flags) {
  const size_t slash = given.find('/');  // names contain no slash
  if (slash == std::string::npos) return {given, flags.split};
  return {given.substr(0, slash), given.substr(slash + 1)};
}

absl::StatusOr<Job> SubmitEvaluation(JobService::Stub& stub, const EvalFlags& flags, const std::string& given) {
  const EvaluatedSplit what = SplitOf(given, flags);
  const nlohmann::json job_file = {{"name", ValidJobName(absl::StrCat("eval-", flags.model, "-", what.dataset))},
                                   {"model", {{"from", flags.model}}},
                                   {"duration", {{"steps", 0}}},
                                   {"report", {{"dataset", what.dataset}, {"split", what.split}}}};
  muster::v1::SubmitJobRequest request;
  ASSIGN_OR_RETURN(*request.mutable_spec(), ParseJobFile("eval", job_file.dump(), flags.overrides));
  // Each job needs its own request id. A single job uses the given one unchanged.
  const bool is_one_of_many = flags.datasets.size() > 1 && !flags.request_id.empty();
  request.set_request_id(RequestIdOr(is_one_of_many ? absl::StrCat(flags.request_id, "-", given) : flags.request_id));
  if (const absl::Status status = CompleteModelJob(stub, *request.mutable_spec()); !status.ok()) {
    return WithContext(status, "eval");
  }
  std::vector<std::string> notes;
  const auto submitted = Call(stub, &JobService::Stub::SubmitJob, request, {.patience = absl::Seconds(20), .notes = &notes});
  if (!submitted.ok()) return WithContext(submitted.status(), "eval");
  for (const std::string& note : notes) std::fprintf(stderr, "note: %s\n", note.c_str());
  return submitted->job();
}

// What the job measured; null if it failed or was canceled before it measured anything.
const Evaluation* MeasuredBy(const Job& job) { return job.evaluations().empty() ? nullptr : &*job.evaluations().rbegin(); }

std::vector<std::string> MetricNames(const std::vector<Job>& jobs) {
  for (const Job& job : jobs) {
    if (const Evaluation* result = MeasuredBy(job); result != nullptr) return OrderedMetricNames(*result);
  }
  return {};
}

// Unweighted means over the datasets, as BEIR and MTEB report them. Empty unless every dataset has every metric: a mean over
// only some datasets could not be compared with anything.
std::map<std::string, double> MeansOf(const std::vector<Job>& jobs) {
  std::map<std::string, double> means;
  for (const std::string& metric : MetricNames(jobs)) {
    double sum = 0;
    for (const Job& job : jobs) {
      const Evaluation* result = MeasuredBy(job);
      if (result == nullptr || !result->metrics().contains(metric)) return {};
      sum += result->metrics().at(metric);
    }
    means[metric] = sum / static_cast<double>(jobs.size());
  }
  return means;
}

std::string TableOf(const std::vector<Job>& jobs) {
  const std::vector<std::string> metrics = MetricNames(jobs);
  std::vector<std::string> header = {"DATASET", "QUERIES", "DOCUMENTS"};
  header.insert(header.end(), metrics.begin(), metrics.end());
  header.push_back("JOB");
  Table table(std::move(header));
  for (const Job& job : jobs) {
    const Evaluation* result = MeasuredBy(job);
    std::vector<std::string> row = {absl::StrCat(job.spec().report().dataset(), "/", job.spec().report().split())};
    row.push_back(result == nullptr ? "-" : WithThousands(result->queries()));
    row.push_back(result == nullptr ? "-" : WithThousands(result->documents()));
    for (const std::string& metric : metrics) {
      const bool has_it = result != nullptr && result->metrics().contains(metric);
      row.push_back(has_it ? MetricCell(result->metrics().at(metric)) : "-");
    }
    row.push_back(result == nullptr ? absl::StrCat(job.id(), ": ", PhaseText(job)) : job.id());
    table.Add(std::move(row));
  }
  if (const std::map<std::string, double> means = MeansOf(jobs); !means.empty()) {
    std::vector<std::string> row = {"mean", "", ""};
    for (const std::string& metric : metrics) row.push_back(MetricCell(means.at(metric)));
    table.Add(std::move(row));
  }
  return table.Text();
}

Json JsonOf(const EvalFlags& flags, const std::vector<Job>& jobs) {
  Json json = {{"model", flags.model}, {"evaluations", Json::array()}, {"means", MeansOf(jobs)}};
  for (const Job& job : jobs) {
    Json one = {{"job", job.id()},
                {"phase", muster::v1::JobPhase_Name(job.phase())},
                {"reason", job.reason()},
                {"dataset", job.spec().report().dataset()},
                {"split", job.spec().report().split()},
                {"queries", 0},
                {"documents", 0},
                {"metrics", Json::object()}};
    if (const Evaluation* result = MeasuredBy(job); result != nullptr) {
      one["queries"] = result->queries();
      one["documents"] = result->documents();
      for (const std::string& name : OrderedMetricNames(*result)) one["metrics"][name] = result->metrics().at(name);
    }
    json["evaluations"].push_back(std::move(one));
  }
  return json;
}

// Follows all jobs, which run at the same time if there are enough slots. Returns the first exit code that is not 0.
absl::StatusOr<int> FollowAll(const Cli& cli, const Connection& connection, const EvalFlags& flags, std::vector<Job> jobs) {
  std::vector<std::string> ids;
  for (const Job& job : jobs) ids.push_back(job.id());
  const std::string all = absl::StrJoin(ids, ", ");
  const InterruptScope interrupt(absl::StrCat("jobs ", all, " keep running. Follow them with muster watch JOB, or cancel them "
                                              "with muster cancel JOB."));
  FILE* out = ProgressStream(cli);
  int code = 0;
  for (Job& job : jobs) {
    ProgressPrinter printer(out, StyleOf(out));
    ASSIGN_OR_RETURN(job, WatchJob(connection.coordinator(), job.id(), printer, {}));
    if (code == 0) code = ExitCodeOf(job);
  }
  const bool table = cli.output == OutputFormat::kTable;
  std::printf("%s", (table ? TableOf(jobs) : Format(JsonOf(flags, jobs), cli.output)).c_str());
  return code;
}

absl::StatusOr<int> EvaluateModel(const Cli& cli, const EvalFlags& flags) {
  for (const std::string& given : flags.datasets) {
    if (std::count(flags.datasets.begin(), flags.datasets.end(), given) == 1) continue;
    return absl::InvalidArgumentError(absl::StrCat("eval: ", given, " is given twice. Leave one out."));
  }
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  const auto stub = JobService::NewStub(connection.coordinator());
  std::vector<Job> jobs;
  for (const std::string& given : flags.datasets) {
    auto job = SubmitEvaluation(*stub, flags, given);
    if (!job.ok()) {
      // The jobs before it are running. Name them, so that the user can cancel them.
      std::string started;
      for (const Job& other : jobs) {
        absl::StrAppend(&started, " Job ", other.id(), " of ", other.spec().report().dataset(), " was submitted and runs.");
      }
      return absl::Status(job.status().code(), absl::StrCat(job.status().message(), started));
    }
    AnnounceJob(cli, *job);
    jobs.push_back(*std::move(job));
  }
  if (jobs.size() == 1) return FollowJob(cli, connection, jobs[0].id(), {});
  return FollowAll(cli, connection, flags, std::move(jobs));
}

}  // namespace

void AddEvalCommand(CLI::App& app, Cli& cli) {
  auto flags = std::make_shared<EvalFlags>();
  CLI::App* command = app.add_subcommand("eval", "Measure a model on datasets")->fallthrough();
  command->add_option("model", flags->model, "A pushed model, job:JOB, or job:JOB@STEP")->required()->type_name("MODEL");
  command->add_option("datasets", flags->datasets, "Imported datasets: NAME, or NAME/SPLIT for a separate split")
      ->required()
      ->type_name("DATASET...");
  command->add_option("--split", flags->split, "Split of datasets that are given without one")
      ->type_name("SPLIT")
      ->capture_default_str();
  command->add_option("--set", flags->overrides, "A field of the job: --set resources.slots.min=4; may be repeated")
      ->type_name("FIELD=VALUE")
      ->allow_extra_args(false);
  command->add_option("--request-id", flags->request_id, "Id of this request; repeating it returns the same jobs")
      ->type_name("ID");
  command->callback([&cli, flags] { cli.action = [&cli, flags] { return EvaluateModel(cli, *flags); }; });
}

}  // namespace muster
