// muster submit JOB.yaml
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/call.h"
#include "client/commands/commands.h"
#include "client/job_file.h"
#include "client/watch_job.h"
#include "common/exit_code.h"
#include "muster/v1/job.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::JobService;

struct SubmitFlags {
  std::string file;
  std::vector<std::string> overrides;
  bool wait = false;
  double timeout = 0;
  std::string request_id;
};

absl::StatusOr<int> Submit(const Cli& cli, const SubmitFlags& flags) {
  muster::v1::SubmitRequest request;
  ASSIGN_OR_RETURN(*request.mutable_spec(), ReadJobFile(flags.file, flags.overrides));
  request.set_request_id(RequestIdOr(flags.request_id));
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  const auto stub = JobService::NewStub(connection.coordinator());
  std::vector<std::string> notes;
  auto submitted = Call(*stub, &JobService::Stub::Submit, request, {.patience = absl::Seconds(20), .notes = &notes});
  if (!submitted.ok()) return WithContext(submitted.status(), "submit");
  for (const std::string& note : notes) std::fprintf(stderr, "note: %s\n", note.c_str());
  muster::v1::Job job = std::move(*submitted->mutable_job());

  const bool table = cli.output == OutputFormat::kTable;
  if (table) std::printf("job %s (%s)\n", job.id().c_str(), job.spec().name().c_str());
  if (flags.wait) {
    FILE* out = table ? stdout : stderr;
    ProgressPrinter printer(out, StyleOf(out));
    WatchOptions options;
    if (flags.timeout > 0) options.timeout = absl::Seconds(flags.timeout);
    ASSIGN_OR_RETURN(job, WatchJob(connection.coordinator(), job.id(), printer, options));
    if (table) std::printf("%s", BeforeAfterTable(job).c_str());
  } else if (table) {
    std::printf("follow it with: muster watch %s\n", job.id().c_str());
  }
  if (!table) std::printf("%s", Format(nlohmann::ordered_json{{"id", job.id()}}, cli.output).c_str());
  return flags.wait ? ExitCodeOf(job) : kExitSucceeded;
}

}  // namespace

void AddSubmitCommand(CLI::App& app, Cli& cli) {
  auto flags = std::make_shared<SubmitFlags>();
  CLI::App* command = app.add_subcommand("submit", "Submit a training job")->fallthrough();
  command->add_option("job", flags->file, "Job file (docs/job-spec.md)")->required()->type_name("JOB.yaml");
  command->add_option("--set", flags->overrides, "Overrule a field: --set loss.temperature=0.02; may be repeated")
      ->type_name("FIELD=VALUE")
      ->allow_extra_args(false);
  command->add_flag("--wait", flags->wait, "Follow the job to its end; exit code 0, 1 (failed) or 3 (cancelled)");
  command->add_option("--timeout", flags->timeout, "With --wait: give up watching after so many seconds (exit code 4)")
      ->type_name("SECONDS");
  command->add_option("--request-id", flags->request_id, "The same id again names the same job")->type_name("ID");
  command->callback([&cli, flags] { cli.action = [&cli, flags] { return Submit(cli, *flags); }; });
}

}  // namespace muster
