// muster jobs, muster job rm JOB, muster get JOB
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/call.h"
#include "client/commands/commands.h"
#include "client/find_job.h"
#include "client/job_list.h"
#include "client/list_table.h"
#include "client/progress.h"
#include "client/query_values.h"
#include "client/report_files.h"
#include "client/report_ids.h"
#include "client/step_log.h"
#include "client/words.h"
#include "common/clock.h"
#include "common/exit_code.h"
#include "common/files.h"
#include "common/flags/parse_flags.h"
#include "common/spec/training_sets.h"
#include "common/status.h"
#include "muster/v1/job.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::Job;
using muster::v1::JobService;

struct JobsFlags {
  bool active = false;
  uint64_t limit = 100;
  std::string user, queue, name;
  std::vector<std::string> phases;
  double since_hours = 0;
  bool wide = false;
};

absl::StatusOr<muster::v1::ListJobsRequest> RequestOf(const JobsFlags& flags) {
  muster::v1::ListJobsRequest request;
  request.set_active_only(flags.active);
  request.set_owner(flags.user);
  request.set_queue(flags.queue);
  request.set_name_contains(flags.name);
  for (const std::string& word : flags.phases) {
    muster::v1::JobPhase phase;
    if (!muster::v1::JobPhase_Parse(absl::StrCat("JOB_PHASE_", absl::AsciiStrToUpper(word)), &phase) ||
        phase == muster::v1::JOB_PHASE_UNSPECIFIED) {
      std::vector<std::string> allowed;
      const auto* phases = muster::v1::JobPhase_descriptor();
      for (int i = 1; i < phases->value_count(); ++i) allowed.push_back(WordOf(*phases->value(i)));
      return absl::InvalidArgumentError(
          absl::StrCat("jobs: --phase: unknown phase \"", word, "\". Allowed: ", absl::StrJoin(allowed, ", "), "."));
    }
    request.add_phases(phase);
  }
  if (flags.since_hours > 0) {
    request.mutable_submitted_since()->set_seconds(
        absl::ToUnixSeconds(RealClock().Now() - absl::Hours(flags.since_hours)));
  }
  return request;
}

absl::StatusOr<int> PrintJobs(const Cli& cli, const JobsFlags& flags) {
  ASSIGN_OR_RETURN(muster::v1::ListJobsRequest request, RequestOf(flags));
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  const auto stub = JobService::NewStub(connection.coordinator());
  const bool table = cli.output == OutputFormat::kTable;
  if (table) request.set_view(muster::v1::JOB_VIEW_SUMMARY);
  muster::v1::ListJobsResponse all;
  const auto more = VisitJobPages(*stub, request, flags.limit, [&](muster::v1::ListJobsResponse& page) {
    all.MergeFrom(page);
    return true;
  });
  if (!more.ok()) return WithContext(more.status(), "jobs");
  if (*more) {
    std::fprintf(stderr, "There are more jobs. List all with --limit 0, or choose with --user, --phase, --since.\n");
  }
  if (!table) {
    std::printf("%s", Format(all, cli.output).c_str());
    return kExitSucceeded;
  }
  Table rows({"ID", "NAME", "PHASE", "STEP", "QUEUE", "OWNER", "SUBMITTED", "REASON"});
  for (const muster::v1::JobSummary& job : SummariesOf(all)) {
    rows.Add({job.id(), job.name(), WordOf(job.phase()), absl::StrCat(job.step(), "/", job.total_steps()), job.queue(),
              job.owner(), TimeCell(job.submitted(), flags.wide), job.reason()});
  }
  PrintTable(rows, flags.wide);
  return kExitSucceeded;
}

struct RemoveFlags {
  std::string id, request_id;
  bool yes = false;
};

// Asks the user to confirm. Without a terminal, --yes is required.
absl::Status AskToRemove(const std::string& job) {
  if (isatty(STDIN_FILENO) == 0) {
    return absl::InvalidArgumentError("job rm: removes the job's record, logs, checkpoints and model. Confirm with --yes.");
  }
  std::fprintf(stderr, "Remove job %s with its logs, checkpoints and exported model? [y/N] ", job.c_str());
  const int answer = std::getchar();
  if (answer == 'y' || answer == 'Y') return absl::OkStatus();
  return absl::CancelledError("job rm: nothing was removed.");
}

absl::StatusOr<int> RemoveJob(const Cli& cli, const RemoveFlags& flags) {
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  const auto stub = JobService::NewStub(connection.coordinator());
  muster::v1::DeleteJobRequest request;
  request.set_id(flags.id);
  if (!flags.yes) {
    const auto job = GetNamedJob(*stub, flags.id);
    if (!job.ok()) return WithContext(job.status(), "job rm");
    request.set_id(job->id());
    RETURN_IF_ERROR(AskToRemove(absl::StrCat(job->id(), " (", job->spec().name(), ")")));
  }
  request.set_request_id(RequestIdOr(flags.request_id));
  const auto response = WithJob(*stub, request.id(), [&](const std::string& id) {
    request.set_id(id);
    return Call(*stub, &JobService::Stub::DeleteJob, request, {.patience = absl::Seconds(20)});
  });
  if (!response.ok()) return WithContext(response.status(), "job rm");
  std::printf("%s", cli.output == OutputFormat::kTable
                        ? absl::StrCat("removed job ", request.id(), "\n").c_str()
                        : Format(nlohmann::ordered_json{{"id", request.id()}}, cli.output).c_str());
  return kExitSucceeded;
}

// The workers on which the ranks of an attempt run, or ran: "w1: ranks 0, 1; w2: rank 2".
std::string RanksText(const muster::v1::AttemptInfo& attempt) {
  std::vector<std::pair<std::string, std::vector<uint32_t>>> workers;  // in the order of their first ranks
  for (const muster::v1::RankPlacement& rank : attempt.ranks()) {
    auto found = std::find_if(workers.begin(), workers.end(), [&](const auto& known) { return known.first == rank.worker(); });
    if (found == workers.end()) found = workers.insert(workers.end(), {rank.worker(), {}});
    found->second.push_back(rank.rank());
  }
  std::vector<std::string> parts;
  for (const auto& [worker, ranks] : workers) {
    parts.push_back(absl::StrCat(worker, ranks.size() == 1 ? ": rank " : ": ranks ", absl::StrJoin(ranks, ", ")));
  }
  return absl::StrJoin(parts, "; ");
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
  if (const std::string sets = TrainingSetsText(job.spec().data()); !sets.empty()) {
    facts.Add({"train", absl::StrCat(sets, ", ", Plural(job.resolved().train_queries(), "query"))});
  }
  for (const auto& [section, ignores] : {std::pair("evaluate", job.spec().evaluate().ignore_identical_ids()),
                                         std::pair("report", job.spec().report().ignore_identical_ids())}) {
    if (ignores) facts.Add({section, "leaves the document with a query's id out of its ranking (ignore_identical_ids)"});
  }
  if (job.has_progress()) facts.Add({"progress", ProgressLine(job.progress())});
  for (const auto& attempt : job.attempts()) {
    facts.Add({absl::StrCat("attempt ", attempt.number()),
               absl::StrCat(Plural(attempt.ranks_size(), "rank"), ", steps ", attempt.from_step(), " to ",
                            attempt.last_step(), attempt.end_reason().empty() ? "" : ": ", attempt.end_reason())});
    if (const std::string ranks = RanksText(attempt); !ranks.empty()) facts.Add({"", ranks});
  }
  for (const auto& checkpoint : job.checkpoints()) {
    facts.Add({"checkpoint", absl::StrCat("step ", checkpoint.step(), ", ", SizeText(checkpoint.bytes()), ", ",
                                          TimeText(checkpoint.time()))});
  }
  for (const auto& evaluation : job.evaluations()) facts.Add({"evaluation", EvaluationLine(evaluation)});
  if (const uint32_t depth = job.spec().report().run_depth(); depth > 0) {
    facts.Add({"rankings", absl::StrCat(Plural(depth, "document"), " per query: muster get ", job.id(), " --run FILE")});
  }
  if (!job.export_manifest().empty()) facts.Add({"model", absl::StrCat("muster export ", job.id(), " DIR")});
  return facts.Text();
}

absl::StatusOr<int> GetJob(const Cli& cli, const std::string& id) {
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  const auto stub = JobService::NewStub(connection.coordinator());
  const auto job = GetNamedJob(*stub, id);
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
  const auto stub = JobService::NewStub(connection.coordinator());
  const absl::StatusOr<std::string> text = FetchStepLog(*stub, blobs, id);
  if (!text.ok()) return WithContext(text.status(), "get");
  std::fwrite(text->data(), 1, text->size(), stdout);
  return kExitSucceeded;
}

struct GetFlags {
  std::string id, metrics, query_values, run;
};

absl::StatusOr<int> PrintWritten(const Cli& cli, const std::string& file, const std::string& what, uint64_t queries) {
  if (cli.output == OutputFormat::kTable) {
    std::printf("wrote %s: %s of %s\n", file.c_str(), what.c_str(), Plural(queries, "query").c_str());
  } else {
    std::printf("%s", Format(nlohmann::ordered_json{{"file", file}, {"queries", queries}}, cli.output).c_str());
  }
  return kExitSucceeded;
}

absl::StatusOr<int> WriteQueryValues(const Cli& cli, const GetFlags& flags, const Job& job,
                                     const std::shared_ptr<grpc::Channel>& data) {
  BlobClient blobs(data);
  ASSIGN_OR_RETURN(const QueryValues values, FetchQueryValues(blobs, job));
  const auto ids = FetchReportIds(data, job, /*documents=*/false);
  if (absl::IsUnavailable(ids.status())) return ids.status();
  if (!ids.ok()) {
    std::fprintf(stderr, "note: the file has no ids of queries: %s\n", std::string(ids.status().message()).c_str());
  }
  ASSIGN_OR_RETURN(const std::string csv, QueryValuesCsv(values, ids.ok() ? std::make_optional(*ids) : std::nullopt));
  const absl::Status written = WriteFileAtomically(flags.query_values, csv);
  if (!written.ok()) return absl::InvalidArgumentError(WithContext(written, "--query-values").message());
  return PrintWritten(cli, flags.query_values, "values", values.queries.size());
}

absl::StatusOr<int> WriteRun(const Cli& cli, const GetFlags& flags, const Job& job,
                             const std::shared_ptr<grpc::Channel>& data) {
  BlobClient blobs(data);
  ASSIGN_OR_RETURN(const std::string stored, FetchStoredRun(blobs, job));
  ASSIGN_OR_RETURN(const ReportIds ids, FetchReportIds(data, job, /*documents=*/true));
  RETURN_IF_ERROR(WriteTrecRun(stored, ids, job.spec().name(), flags.run));
  return PrintWritten(cli, flags.run, "rankings", ids.queries.size());
}

absl::StatusOr<int> GetResults(const Cli& cli, const GetFlags& flags) {
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  const auto stub = JobService::NewStub(connection.coordinator());
  const auto job = GetNamedJob(*stub, flags.id);
  if (!job.ok()) return WithContext(job.status(), "get");
  ASSIGN_OR_RETURN(const auto data, connection.Data());
  const auto code = flags.run.empty() ? WriteQueryValues(cli, flags, *job, data) : WriteRun(cli, flags, *job, data);
  if (!code.ok()) return WithContext(ExplainUnreachable(code.status()), "get");
  return code;
}

}  // namespace

void AddJobsCommands(CLI::App& app, Cli& cli) {
  auto flags = std::make_shared<JobsFlags>();
  CLI::App* jobs = app.add_subcommand("jobs", "List jobs, newest first")->fallthrough();
  jobs->add_flag("--active", flags->active, "Only jobs that have not ended");
  jobs->add_option("--limit", flags->limit, "At most this many; 0: all; default 100")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber);
  jobs->add_option("--user", flags->user, "Only this user's jobs")->type_name("NAME");
  jobs->add_option("--queue", flags->queue, "Only this queue's jobs")->type_name("NAME");
  jobs->add_option("--phase", flags->phases, "Only jobs in this phase; may be repeated")
      ->type_name("PHASE")
      ->take_all()
      ->expected(1, 9);
  jobs->add_option("--since", flags->since_hours, "Only jobs submitted within this many hours")
      ->type_name("HOURS")
      ->check(CLI::PositiveNumber);
  jobs->add_option("--name", flags->name, "Only jobs whose name contains this")->type_name("TEXT");
  AddWideFlag(*jobs, cli, flags->wide);
  jobs->callback([&cli, flags] { cli.action = [&cli, flags] { return PrintJobs(cli, *flags); }; });

  auto removal = std::make_shared<RemoveFlags>();
  CLI::App* job = app.add_subcommand("job", "Commands of one job")->fallthrough();
  job->require_subcommand(1);
  CLI::App* rm = job->add_subcommand("rm", "Remove an ended job, its logs, checkpoints and exported model")->fallthrough();
  rm->add_option("job", removal->id, kJobHelp)->required()->type_name("JOB");
  rm->add_flag("--yes", removal->yes, "Do not ask");
  rm->add_option("--request-id", removal->request_id, "Id of this request; repeating it changes nothing")->type_name("ID");
  rm->callback([&cli, removal] { cli.action = [&cli, removal] { return RemoveJob(cli, *removal); }; });

  auto shown = std::make_shared<GetFlags>();
  CLI::App* get = app.add_subcommand("get", "Show one job")->fallthrough();
  get->add_option("job", shown->id, kJobHelp)->required()->type_name("JOB");
  CLI::Option* metrics = get->add_option("--metrics", shown->metrics,
                                         "Print the step log instead, of a running job up to its newest checkpoint: csv");
  metrics->type_name("FORMAT")->check(CLI::IsMember({"csv"}));
  CLI::Option* values = get->add_option("--query-values", shown->query_values,
                                        "Write the report's values of every query to this file instead, as CSV");
  CLI::Option* run = get->add_option("--run", shown->run,
                                     "Write the report's rankings (report.run_depth) to this file instead, in TREC's format");
  for (CLI::Option* option : {values, run}) option->type_name("FILE");
  AtMostOne({metrics, values, run});
  get->callback([&cli, shown] {
    cli.action = [&cli, shown] {
      if (!shown->metrics.empty()) return GetStepLog(cli, shown->id);
      const bool results = !shown->query_values.empty() || !shown->run.empty();
      return results ? GetResults(cli, *shown) : GetJob(cli, shown->id);
    };
  });
}

}  // namespace muster
