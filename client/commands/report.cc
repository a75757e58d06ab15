// muster report JOB...: writes an HTML page about one job, or one that compares several.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/report/fetch.h"
#include "client/report/figure.h"
#include "client/report/job_report.h"
#include "client/report/run_tests.h"
#include "client/runs/run_flags.h"
#include "client/words.h"
#include "common/clock.h"
#include "common/exit_code.h"
#include "common/files.h"
#include "common/flags/parse_flags.h"
#include "common/status.h"
#include "common/timestamp.h"
#include "common/version.h"

namespace muster {
namespace {

struct ReportFlags {
  std::vector<std::string> jobs;
  std::string out;
  std::vector<std::string> run_files;
  RunFlags runs;
};

absl::Status CheckFlags(const ReportFlags& flags) {
  if (flags.jobs.size() > kCurveColors) {
    return absl::InvalidArgumentError(absl::StrCat("report: compares at most ", kCurveColors, " jobs, and ", flags.jobs.size(),
                                                   " are given. Colors for more curves are hard to distinguish."));
  }
  if (!flags.run_files.empty() && flags.run_files.size() != flags.jobs.size()) {
    return absl::InvalidArgumentError(absl::StrCat("report: --run is given ", flags.run_files.size(), " times, for ",
                                                   Plural(flags.jobs.size(), "job"),
                                                   ". Give one run per job, in the same order."));
  }
  if (flags.out.empty()) return absl::OkStatus();
  const std::filesystem::path folder = std::filesystem::absolute(flags.out).parent_path();
  std::error_code error;
  if (std::filesystem::is_directory(flags.out, error)) {
    return absl::InvalidArgumentError(absl::StrCat("report: --out ", flags.out, " is a folder. Name a file in it."));
  }
  if (std::filesystem::is_directory(folder, error)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("report: --out ", flags.out, ": there is no folder ", folder.string(), ". Make it first."));
}

// Reads the files before it asks the cluster, so that a wrong file is reported at once.
absl::StatusOr<RunTests> ReadRunTests(const ReportFlags& flags) {
  if (flags.run_files.empty()) return RunTests();
  ASSIGN_OR_RETURN(const std::vector<JudgedRun> runs, ReadRuns(flags.run_files, flags.runs));
  return TestRuns(flags.runs.qrels, flags.run_files, flags.runs.metrics, runs, flags.runs.seed);
}

absl::StatusOr<std::vector<ReportedJob>> FetchJobs(const Cli& cli, const ReportFlags& flags) {
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  ReportFetcher fetcher(connection);
  std::vector<ReportedJob> jobs;
  for (const std::string& given : flags.jobs) {
    ASSIGN_OR_RETURN(ReportedJob job, fetcher.Fetch(given));
    const auto is_it = [&job](const ReportedJob& other) { return other.job.id() == job.job.id(); };
    if (std::any_of(jobs.begin(), jobs.end(), is_it)) {
      return absl::InvalidArgumentError(absl::StrCat("job ", job.job.id(), " is given twice. Leave one out."));
    }
    jobs.push_back(std::move(job));
  }
  return jobs;
}

std::string FileOf(const ReportFlags& flags, const std::vector<ReportedJob>& jobs) {
  if (!flags.out.empty()) return flags.out;
  if (jobs.size() > 1) return "comparison.html";
  const std::string& name = jobs[0].job.spec().name();
  return absl::StrCat(IsValidName(name) ? name : "job", ".html");
}

absl::StatusOr<int> WriteReport(const Cli& cli, const ReportFlags& flags) {
  RETURN_IF_ERROR(CheckFlags(flags));
  const auto runs = ReadRunTests(flags);
  if (!runs.ok()) return WithContext(runs.status(), "report");
  const auto jobs = FetchJobs(cli, flags);
  if (!jobs.ok()) return WithContext(jobs.status(), "report");
  const ReportStamp stamp = {.version = OwnVersionText(), .time = UtcText(ToProto(RealClock().Now()))};
  const std::string page =
      jobs->size() == 1 ? JobReportHtml((*jobs)[0], *runs, stamp) : ComparisonReportHtml(*jobs, *runs, stamp);
  const std::string file = FileOf(flags, *jobs);
  if (const absl::Status written = WriteFileAtomically(file, page); !written.ok()) return WithContext(written, "report");
  nlohmann::ordered_json ids = nlohmann::ordered_json::array();
  for (const ReportedJob& job : *jobs) {
    ids.push_back(job.job.id());
    for (const std::string& note : job.notes) {
      std::fprintf(stderr, "note: job %s: %s\n", job.job.id().c_str(), note.c_str());
    }
  }
  if (cli.output != OutputFormat::kTable) {
    const nlohmann::ordered_json json = {{"file", file}, {"bytes", page.size()}, {"jobs", ids}};
    std::printf("%s", Format(json, cli.output).c_str());
  } else {
    std::printf("wrote %s, %s. Open it in a browser.\n", file.c_str(), SizeText(page.size()).c_str());
  }
  return kExitSucceeded;
}

}  // namespace

void AddReportCommand(CLI::App& app, Cli& cli) {
  auto flags = std::make_shared<ReportFlags>();
  flags->runs.metrics = {"ndcg@10"};
  CLI::App* command = app.add_subcommand("report", "Write a job, or a comparison of jobs, as an HTML page")->fallthrough();
  command->add_option("jobs", flags->jobs, "Jobs, each by its id, the beginning of its id, or its name")
      ->required()
      ->type_name("JOB...");
  command->add_option("--out", flags->out, "The page, replaced if it exists (JOB.html; comparison.html of several jobs)")
      ->type_name("FILE");
  CLI::Option* run = command->add_option("--run", flags->run_files,
                                         "Also measure this ranking of the job's model, a run file in TREC's format; one per "
                                         "job, in their order");
  run->type_name("FILE")->allow_extra_args(false);
  CLI::Option* qrels = command->add_option("--qrels", flags->runs.qrels,
                                           "Judgments of the runs, in TREC's or BEIR's format, plain or .gz");
  qrels->type_name("FILE");
  CLI::Option* metric = command->add_option("--metric", flags->runs.metrics,
                                            "Metrics of the runs: ndcg@K, mrr, recall@K, map@K, precision@K, …; may be "
                                            "repeated (ndcg@10)");
  metric->type_name("METRIC")->allow_extra_args(false);
  CLI::Option* seed = command->add_option("--seed", flags->runs.seed, "Seed of what is drawn at random for the intervals");
  seed->type_name("N")->check(CLI::NonNegativeNumber)->capture_default_str();
  OnlyWith(run, qrels);
  for (CLI::Option* option : {qrels, metric, seed}) OnlyWith(option, run);
  command->callback([&cli, flags] { cli.action = [&cli, flags] { return WriteReport(cli, *flags); }; });
}

}  // namespace muster
