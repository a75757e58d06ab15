// muster jobs, muster get JOB
#include <cstdio>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/call.h"
#include "client/commands/commands.h"
#include "client/progress.h"
#include "client/step_log.h"
#include "client/words.h"
#include "common/exit_code.h"
#include "muster/v1/job.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::Job;
using muster::v1::JobService;

constexpr int kStepLogTries = 5;  // a running job may drop the checkpoint between the two calls

std::string StepText(const Job& job) {
  const uint64_t total =
      job.progress().total_steps() != 0 ? job.progress().total_steps() : job.resolved().total_steps();
  return absl::StrCat(job.progress().step(), "/", total);
}

absl::StatusOr<int> ListJobs(const Cli& cli, bool active_only) {
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  const auto stub = JobService::NewStub(connection.coordinator());
  muster::v1::ListJobsResponse all;
  muster::v1::ListJobsRequest request;
  request.set_active_only(active_only);
  request.set_page_size(1000);
  do {
    auto page = Call(*stub, &JobService::Stub::List, request);
    if (!page.ok()) return WithContext(page.status(), "jobs");
    for (Job& job : *page->mutable_jobs()) *all.add_jobs() = std::move(job);
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());

  if (cli.output != OutputFormat::kTable) {
    std::printf("%s", Format(all, cli.output).c_str());
    return kExitSucceeded;
  }
  Table table({"ID", "NAME", "PHASE", "STEP", "QUEUE", "OWNER", "SUBMITTED", "REASON"});
  for (const Job& job : all.jobs()) {
    table.Add({job.id(), job.spec().name(), WordOf(job.phase()), StepText(job), job.spec().resources().queue(),
               job.owner(), TimeText(job.submitted()), job.reason()});
  }
  std::printf("%s", table.Text().c_str());
  return kExitSucceeded;
}

std::string Describe(const Job& job) {
  Table facts({"id", job.id()});
  facts.Add({"name", job.spec().name()});
  facts.Add({"phase", WordOf(job.phase())});
  if (!job.reason().empty()) facts.Add({"reason", job.reason()});
  facts.Add({"owner", job.owner()});
  facts.Add({"submitted", TimeText(job.submitted())});
  facts.Add({"ended", TimeText(job.ended())});
  facts.Add({"objective", WordOf(job.spec().loss().objective())});
  facts.Add({"train", absl::StrCat(job.spec().data().train(), "/", job.spec().data().split(), ", ",
                                   Plural(job.resolved().train_queries(), "query"))});
  for (const auto& [section, ignores] : {std::pair("evaluate", job.spec().evaluate().ignore_identical_ids()),
                                         std::pair("report", job.spec().report().ignore_identical_ids())}) {
    if (ignores) facts.Add({section, "leaves the document with a query's id out of its ranking (ignore_identical_ids)"});
  }
  if (job.has_progress()) facts.Add({"progress", ProgressLine(job.progress())});
  for (const auto& attempt : job.attempts()) {
    facts.Add({absl::StrCat("attempt ", attempt.number()),
               absl::StrCat(Plural(attempt.ranks_size(), "rank"), ", steps ", attempt.from_step(), " to ",
                            attempt.last_step(), attempt.end_reason().empty() ? "" : ": ", attempt.end_reason())});
  }
  for (const auto& checkpoint : job.checkpoints()) {
    facts.Add({"checkpoint", absl::StrCat("step ", checkpoint.step(), ", ", SizeText(checkpoint.bytes()), ", ",
                                          TimeText(checkpoint.time()))});
  }
  for (const auto& evaluation : job.evaluations()) facts.Add({"evaluation", EvaluationLine(evaluation)});
  if (!job.export_manifest().empty()) facts.Add({"model", absl::StrCat("muster export ", job.id(), " DIR")});
  return facts.Text();
}

absl::StatusOr<Job> AskForJob(const Connection& connection, const std::string& id) {
  const auto stub = JobService::NewStub(connection.coordinator());
  muster::v1::GetJobRequest request;
  request.set_id(id);
  ASSIGN_OR_RETURN(const auto response, Call(*stub, &JobService::Stub::Get, request));
  return response.job();
}

absl::StatusOr<int> GetJob(const Cli& cli, const std::string& id) {
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  const auto job = AskForJob(connection, id);
  if (!job.ok()) return WithContext(job.status(), "get");
  std::printf("%s", (cli.output == OutputFormat::kTable ? Describe(*job) : Format(*job, cli.output)).c_str());
  return kExitSucceeded;
}

absl::StatusOr<int> GetStepLog(const Cli& cli, const std::string& id) {
  if (cli.output_flag->count() > 0) {
    return absl::InvalidArgumentError("get: --metrics csv prints CSV, and --output has no effect on it. Leave out one of them.");
  }
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  ASSIGN_OR_RETURN(const auto channel, connection.Data());
  BlobClient blobs(channel);
  absl::StatusOr<std::string> text;
  for (int tries = 0; tries < kStepLogTries; ++tries) {
    const auto job = AskForJob(connection, id);
    if (!job.ok()) return WithContext(job.status(), "get");
    text = FetchStepLog(blobs, *job);
    if (!absl::IsNotFound(text.status())) break;
  }
  if (!text.ok()) return WithContext(ExplainUnreachable(text.status()), "get");
  std::fwrite(text->data(), 1, text->size(), stdout);
  return kExitSucceeded;
}

}  // namespace

void AddJobsCommands(CLI::App& app, Cli& cli) {
  auto active = std::make_shared<bool>(false);
  CLI::App* jobs = app.add_subcommand("jobs", "List jobs, newest first")->fallthrough();
  jobs->add_flag("--active", *active, "Only jobs that have not ended");
  jobs->callback([&cli, active] { cli.action = [&cli, active] { return ListJobs(cli, *active); }; });

  auto id = std::make_shared<std::string>();
  CLI::App* get = app.add_subcommand("get", "Show one job")->fallthrough();
  get->add_option("job", *id, "Id of the job")->required()->type_name("JOB");
  auto metrics = std::make_shared<std::string>();
  get->add_option("--metrics", *metrics, "Print the step log up to the newest checkpoint instead: csv")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"csv"}));
  get->callback([&cli, id, metrics] {
    cli.action = [&cli, id, metrics] { return metrics->empty() ? GetJob(cli, *id) : GetStepLog(cli, *id); };
  });
}

}  // namespace muster
