// muster eval MODEL DATASET...: submits one job per dataset that only evaluates the model, and follows them all.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/call.h"
#include "client/commands/commands.h"
#include "client/commands/eval_results.h"
#include "client/commands/follow.h"
#include "client/interrupt.h"
#include "client/job_file.h"
#include "client/new_folder.h"
#include "client/progress.h"
#include "client/runs/comparison.h"
#include "common/status.h"
#include "muster/v1/job.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::Job;
using muster::v1::JobService;

struct EvalFlags {
  std::string model;
  std::vector<std::string> datasets;  // NAME or NAME/SPLIT
  std::string split = "test";
  std::vector<std::string> metrics;
  uint32_t run_depth = 0;
  bool intervals = false;
  std::string out;
  std::vector<std::string> overrides;
  std::string request_id;

  bool NeedsValues() const { return intervals || !out.empty(); }
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
  nlohmann::json job_file = {{"name", ValidJobName(absl::StrCat("eval-", flags.model, "-", what.dataset))},
                             {"model", {{"from", flags.model}}},
                             {"duration", {{"steps", 0}}},
                             {"report", {{"dataset", what.dataset}, {"split", what.split}}}};
  if (!flags.metrics.empty()) job_file["report"]["metrics"] = flags.metrics;
  if (flags.run_depth > 0) job_file["report"]["run_depth"] = flags.run_depth;
  muster::v1::SubmitJobRequest request;
  ASSIGN_OR_RETURN(*request.mutable_spec(), ParseJobFile("eval", job_file.dump(), flags.overrides));
  // Each job needs its own request id. A single job uses the given one unchanged.
  const bool is_one_of_many = flags.datasets.size() > 1 && !flags.request_id.empty();
  request.set_request_id(RequestIdOr(is_one_of_many ? absl::StrCat(flags.request_id, "-", given) : flags.request_id));
  return SubmitJobOf("eval", stub, std::move(request));
}

// Follows all jobs, which run at the same time if there are enough slots.
absl::Status FollowAll(const Cli& cli, const Connection& connection, std::vector<EvaluatedJob>& jobs) {
  if (jobs.size() == 1) {
    ASSIGN_OR_RETURN(jobs[0].job, FollowToEnd(cli, connection, jobs[0].job.id(), {}));
    return absl::OkStatus();
  }
  std::vector<std::string> ids;
  for (const EvaluatedJob& one : jobs) ids.push_back(one.job.id());
  const InterruptScope interrupt(
      absl::StrCat("jobs ", absl::StrJoin(ids, ", "),
                   " keep running. Follow them with muster watch JOB, or cancel them with muster cancel JOB."));
  FILE* out = ProgressStream(cli);
  for (EvaluatedJob& one : jobs) {
    ProgressPrinter printer(out, StyleOf(out));
    ASSIGN_OR_RETURN(one.job, WatchJob(connection.coordinator(), one.job.id(), printer, {}));
  }
  return absl::OkStatus();
}

void PrintEvaluations(const Cli& cli, const EvalFlags& flags, const std::vector<EvaluatedJob>& jobs) {
  if (cli.output != OutputFormat::kTable) {
    nlohmann::ordered_json json = jobs.size() == 1 ? FinalJobJson(jobs[0].job) : EvaluationsJson(flags.model, jobs);
    if (jobs.size() == 1 && flags.NeedsValues()) {
      json["confidence"] = kConfidence;
      json["intervals"] = IntervalsJson(jobs[0]);
    }
    std::printf("%s", Format(json, cli.output).c_str());
    return;
  }
  std::printf("%s", (jobs.size() == 1 ? ResultTable(cli, jobs[0].job) : EvaluationTable(jobs)).c_str());
  const std::string intervals = flags.intervals ? IntervalTable(jobs) : "";
  if (!intervals.empty()) std::printf("\n95%% intervals\n%s", intervals.c_str());
}

// What is left to do once the jobs run: follow them, print their results, and write the files. Returns the first job's exit
// code that is not 0.
absl::StatusOr<int> FinishEvaluations(const Cli& cli, const Connection& connection, const EvalFlags& flags,
                                      const std::filesystem::path& target, std::vector<EvaluatedJob> jobs) {
  RETURN_IF_ERROR(FollowAll(cli, connection, jobs));
  std::vector<std::string> notes;
  absl::Status written;
  if (flags.NeedsValues()) {
    const auto data = connection.Data();
    written = data.ok() ? ReadValues(*data, jobs, notes) : data.status();
    if (written.ok() && !flags.out.empty()) written = WriteEvaluations(*data, target, flags.model, jobs, notes);
  }
  for (const std::string& note : notes) std::fprintf(stderr, "note: %s\n", note.c_str());
  PrintEvaluations(cli, flags, jobs);  // also if the files could not be written
  if (!written.ok()) {
    return WithContext(written, "eval: the jobs are done, and muster get JOB --query-values FILE reads their results again");
  }
  if (!flags.out.empty() && cli.output == OutputFormat::kTable) std::printf("wrote %s\n", target.string().c_str());
  for (const EvaluatedJob& one : jobs) {
    if (const int code = ExitCodeOf(one.job); code != 0) return code;
  }
  return 0;
}

absl::StatusOr<int> EvaluateModel(const Cli& cli, const EvalFlags& flags) {
  const auto label = [&flags](const std::string& given) {
    const EvaluatedSplit what = SplitOf(given, flags);
    return absl::StrCat(what.dataset, "/", what.split);
  };
  for (const std::string& given : flags.datasets) {
    const auto is_same = [&](const std::string& other) { return label(other) == label(given); };
    if (std::count_if(flags.datasets.begin(), flags.datasets.end(), is_same) == 1) continue;
    return absl::InvalidArgumentError(absl::StrCat("eval: ", given, " is given twice. Leave one out."));
  }
  std::filesystem::path target;
  if (!flags.out.empty()) {
    ASSIGN_OR_RETURN(target, NewFolderTarget("eval", flags.out));
  }
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  if (flags.NeedsValues()) RETURN_IF_ERROR(connection.Data().status());  // before minutes of evaluation
  const auto stub = JobService::NewStub(connection.coordinator());
  std::vector<EvaluatedJob> jobs;
  for (const std::string& given : flags.datasets) {
    auto job = SubmitEvaluation(*stub, flags, given);
    if (!job.ok()) {
      // The jobs before it are running. Name them, so that the user can cancel them.
      std::string started;
      for (const EvaluatedJob& other : jobs) {
        absl::StrAppend(&started, " Job ", other.job.id(), " of ", other.job.spec().report().dataset(),
                        " was submitted and runs.");
      }
      return absl::Status(job.status().code(), absl::StrCat(job.status().message(), started));
    }
    AnnounceJob(cli, *job);
    jobs.push_back({.job = *std::move(job), .values = {}, .intervals = {}});
  }
  return FinishEvaluations(cli, connection, flags, target, std::move(jobs));
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
  command
      ->add_option("--metric", flags->metrics,
                   "Also measure ndcg@K, mrr@K, recall@K, map@K, precision@K, …; may be repeated")
      ->type_name("METRIC")
      ->allow_extra_args(false);
  command->add_option("--run-depth", flags->run_depth, "Also store this many documents per query of the ranking (0: none)")
      ->type_name("K")
      ->check(CLI::Range(0, 10000));
  command->add_flag("--intervals", flags->intervals, "Also print 95% intervals of the means");
  command
      ->add_option("--out", flags->out,
                   "A new or empty folder for summary.json, summary.csv, and per dataset queries.csv and (with --run-depth) "
                   "run.trec")
      ->type_name("FOLDER");
  command->add_option("--set", flags->overrides, "A field of the job: --set resources.slots.min=4; may be repeated")
      ->type_name("FIELD=VALUE")
      ->allow_extra_args(false);
  command->add_option("--request-id", flags->request_id, "Id of this request; repeating it returns the same jobs")
      ->type_name("ID");
  command->callback([&cli, flags] { cli.action = [&cli, flags] { return EvaluateModel(cli, *flags); }; });
}

}  // namespace muster
