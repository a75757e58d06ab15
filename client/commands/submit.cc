// muster submit JOB.yaml
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/call.h"
#include "client/commands/commands.h"
#include "client/commands/follow.h"
#include "client/find_job.h"
#include "client/job_file.h"
#include "client/preview_text.h"
#include "common/exit_code.h"
#include "common/flags/parse_flags.h"
#include "common/nearest_name.h"
#include "muster/v1/cluster.grpc.pb.h"
#include "muster/v1/job.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::JobService;

constexpr char kDefaultQueue[] = "default";

struct SubmitFlags {
  std::string file;
  std::vector<std::string> overrides;
  bool wait = false, dry_run = false;
  double timeout = 0;
  uint32_t profile_steps = 0;  // 0: the job file's
  std::string request_id;
};

// A queue exists while a job is in it, so a misspelled name creates a new one. Only the user can notice that.
void NoteNewQueue(const Connection& connection, const std::string& queue) {
  if (queue.empty() || queue == kDefaultQueue) return;
  const auto stub = muster::v1::ClusterService::NewStub(connection.coordinator());
  const auto response = Call(*stub, &muster::v1::ClusterService::Stub::ListQueues, muster::v1::ListQueuesRequest());
  if (!response.ok()) return;  // the submission itself reports the error
  std::vector<std::string> names = {kDefaultQueue};
  for (const auto& known : response->queues()) {
    if (known.name() == queue) return;
    if (known.name() != kDefaultQueue) names.push_back(known.name());
  }
  std::fprintf(stderr, "note: queue \"%s\" is new: no other job is in it. %s\n", queue.c_str(),
               WhatExists(queue, names).c_str());
}

// Longer than any id that a coordinator accepts. A coordinator that does not know SubmitJobRequest.dry_run would submit the
// job, and this id makes it refuse. Newer ones ignore the id of a dry run.
constexpr size_t kRefusedId = 200;

absl::StatusOr<muster::v1::JobSpec> SpecOf(const SubmitFlags& flags) {
  ASSIGN_OR_RETURN(muster::v1::JobSpec spec, ReadJobFile(flags.file, flags.overrides));
  if (flags.profile_steps > 0) spec.set_trace_steps(flags.profile_steps);
  return spec;
}

absl::StatusOr<int> DryRun(const Cli& cli, const SubmitFlags& flags) {
  muster::v1::SubmitJobRequest request;
  ASSIGN_OR_RETURN(*request.mutable_spec(), SpecOf(flags));
  request.set_dry_run(true);
  request.set_request_id(std::string(kRefusedId, '-'));
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  NoteNewQueue(connection, request.spec().resources().queue());
  const auto stub = JobService::NewStub(connection.coordinator());
  RETURN_IF_ERROR(CompleteModelJob(*stub, *request.mutable_spec()));
  std::vector<std::string> notes;
  const auto previewed = Call(*stub, &JobService::Stub::SubmitJob, request, {.notes = &notes});
  if (absl::StartsWith(previewed.status().message(), "request_id: ")) {
    return absl::UnimplementedError("submit: --dry-run: the coordinator is too old. Upgrade it.");
  }
  if (!previewed.ok()) return WithContext(previewed.status(), "submit");
  for (const std::string& note : notes) std::fprintf(stderr, "note: %s\n", note.c_str());
  std::printf("%s", (cli.output == OutputFormat::kTable ? PreviewText(*previewed) : Format(*previewed, cli.output)).c_str());
  return kExitSucceeded;
}

absl::StatusOr<int> Submit(const Cli& cli, const SubmitFlags& flags) {
  muster::v1::SubmitJobRequest request;
  ASSIGN_OR_RETURN(*request.mutable_spec(), SpecOf(flags));
  request.set_request_id(RequestIdOr(flags.request_id));
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  NoteNewQueue(connection, request.spec().resources().queue());
  const auto stub = JobService::NewStub(connection.coordinator());
  ASSIGN_OR_RETURN(const muster::v1::Job job, SubmitJobOf("submit", *stub, std::move(request)));
  if (flags.wait) {
    AnnounceJob(cli, job);
    WatchOptions options;
    if (flags.timeout > 0) options.timeout = absl::Seconds(flags.timeout);
    return FollowJob(cli, connection, job.id(), options);
  }
  if (cli.output == OutputFormat::kTable) {
    AnnounceJob(cli, job);
    std::printf("follow it with: muster watch %s\n", job.id().c_str());
  } else {
    std::printf("%s", Format(nlohmann::ordered_json{{"id", job.id()}}, cli.output).c_str());
  }
  return kExitSucceeded;
}

}  // namespace

void AddSubmitCommand(CLI::App& app, Cli& cli) {
  auto flags = std::make_shared<SubmitFlags>();
  CLI::App* command = app.add_subcommand("submit", "Submit a training job")->fallthrough();
  command->add_option("job", flags->file, "Job file (docs/reference/job-spec.md)")->required()->type_name("JOB.yaml");
  command->add_option("--set", flags->overrides, "Override a field: --set loss.temperature=0.02; may be repeated")
      ->type_name("FIELD=VALUE")
      ->allow_extra_args(false);
  command
      ->add_option("--profile", flags->profile_steps,
                   "Rank 0 records a trace of this many steps, from the third on; muster trace writes it to a file")
      ->type_name("STEPS")
      ->check(CLI::Range(1, 1000));
  CLI::Option* wait =
      command->add_flag("--wait", flags->wait, "Follow the job to its end; exit code 0, 1 (failed) or 3 (cancelled)");
  CLI::Option* timeout =
      command->add_option("--timeout", flags->timeout, "With --wait: stop watching after this many seconds (exit code 4)")
          ->type_name("SECONDS")
          ->check(CLI::PositiveNumber);
  OnlyWith(timeout, wait);
  CLI::Option* request_id =
      command->add_option("--request-id", flags->request_id, "Id of this request; repeating it returns the same job")->type_name("ID");
  CLI::Option* dry_run = command->add_flag("--dry-run", flags->dry_run,
                                           "Submit nothing: show steps, tokens, memory, and positives and negatives per query");
  dry_run->excludes(wait)->excludes(request_id);
  command->callback([&cli, flags] {
    cli.action = [&cli, flags] { return flags->dry_run ? DryRun(cli, *flags) : Submit(cli, *flags); };
  });
}

}  // namespace muster
