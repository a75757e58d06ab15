// muster export JOB DIR
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/call.h"
#include "client/commands/commands.h"
#include "client/commands/follow.h"
#include "client/find_job.h"
#include "client/interrupt.h"
#include "client/job_file.h"
#include "client/new_folder.h"
#include "client/transfer.h"
#include "client/words.h"
#include "common/clock.h"
#include "common/exit_code.h"
#include "common/flags/parse_flags.h"
#include "common/rpc/blobs.h"
#include "common/spec/job_source.h"
#include "muster/v1/job.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::Job;
using muster::v1::JobService;

absl::Status WriteFolder(BlobClient& blobs, const muster::v1::FileManifest& manifest,
                         const std::filesystem::path& target, TransferPrinter& printer) {
  ASSIGN_OR_RETURN(const std::unique_ptr<NewFolder> folder, NewFolder::Create("export", target));
  const absl::Status status = blobs.GetFolder(manifest, folder->aside(), [&](uint64_t bytes, uint64_t total) {
    printer.Update(bytes, total, "", RealClock().Monotonic());
  });
  printer.Finish();
  RETURN_IF_ERROR(status);
  return folder->Publish();
}

// ", or export a checkpoint with --step 40"; empty: it has none.
std::string OrCheckpoint(const Job& job) {
  if (job.checkpoints().empty()) return "";
  return absl::StrCat(", or export a checkpoint with --step ", job.checkpoints().rbegin()->step());
}

// Why a job has no model, and what to do.
std::string NoModel(const Job& job) {
  const std::string state = absl::StrCat("job ", job.id(), " has no model: ");
  if (job.phase() == muster::v1::JOB_PHASE_FAILED) {
    return absl::StrCat(state, "it failed (", job.reason(), "). Submit it again", OrCheckpoint(job), ".");
  }
  if (job.phase() == muster::v1::JOB_PHASE_CANCELLED) {
    return absl::StrCat(state, "it was cancelled. Submit it again", OrCheckpoint(job), ".");
  }
  if (job.phase() == muster::v1::JOB_PHASE_SUCCEEDED) return absl::StrCat(state, "it only evaluated a model.");
  if (job.phase() == muster::v1::JOB_PHASE_PAUSED) {
    return absl::StrCat(state, "it is paused. Resume it with muster resume ", job.id(), ".");
  }
  return absl::StrCat(state, "it is ", WordOf(job.phase()), ". Wait for its end with muster watch ", job.id(), OrCheckpoint(job),
                      ".");
}

struct ModelExportFlags {
  std::string job, folder;
  uint64_t step = 0;  // 0: the job's export
  std::vector<std::string> overrides;
};

// Submits a job that makes a model from a checkpoint, and returns that job when it has succeeded.
absl::StatusOr<Job> MakeModel(const Cli& cli, const Connection& connection, JobService::Stub& stub, const Job& source,
                              const ModelExportFlags& flags) {
  const nlohmann::json job_file = {
      {"name", ValidJobName(absl::StrCat("export-", source.spec().name().substr(0, 30), "-step-", flags.step))},
      {"model", {{"from", ToString(JobSource{.job = source.id(), .step = flags.step})}}},
      {"duration", {{"steps", 0}}}};
  muster::v1::SubmitJobRequest request;
  ASSIGN_OR_RETURN(*request.mutable_spec(), ParseJobFile("export", job_file.dump(), flags.overrides));
  request.set_request_id(NewRequestId());
  ASSIGN_OR_RETURN(const auto submitted, Call(stub, &JobService::Stub::SubmitJob, request, {.patience = absl::Seconds(20)}));
  const std::string& id = submitted.job().id();
  AnnounceJob(cli, submitted.job());
  const InterruptScope interrupt(absl::StrCat(JobGoesOn(id), " Then write its model with muster export ", id, " DIR."));
  FILE* out = ProgressStream(cli);
  ProgressPrinter printer(out, StyleOf(out));
  ASSIGN_OR_RETURN(Job made, WatchJob(connection.coordinator(), id, printer));
  if (made.phase() == muster::v1::JOB_PHASE_SUCCEEDED) return made;
  return absl::FailedPreconditionError(absl::StrCat("job ", id, ", which was to make a model of step ", flags.step, ", is ",
                                                    WordOf(made.phase()), ": ", made.reason(), ". See muster logs ", id, "."));
}

absl::StatusOr<int> Export(const Cli& cli, const ModelExportFlags& flags) {
  ASSIGN_OR_RETURN(const std::filesystem::path target, NewFolderTarget("export", flags.folder));
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  const auto stub = JobService::NewStub(connection.coordinator());
  auto job = GetNamedJob(*stub, flags.job);
  if (!job.ok()) return WithContext(job.status(), "export");
  std::string what = absl::StrCat("job ", job->id());
  if (flags.step > 0) {
    absl::StrAppend(&what, ", step ", flags.step, ",");
    job = MakeModel(cli, connection, *stub, *job, flags);
    if (!job.ok()) return WithContext(job.status(), "export");
  }
  if (job->export_manifest().empty()) {
    return absl::FailedPreconditionError(absl::StrCat("export: ", NoModel(*job)));
  }
  ASSIGN_OR_RETURN(const auto channel, connection.Data());
  BlobClient blobs(channel);
  const auto manifest = blobs.GetManifest(job->export_manifest());
  if (!manifest.ok()) return WithContext(ExplainUnreachable(manifest.status()), "export");
  const bool table = cli.output == OutputFormat::kTable;
  TransferPrinter printer(table ? stdout : nullptr, StyleOf(stdout), "receiving", RealClock().Monotonic());
  if (const absl::Status status = WriteFolder(blobs, *manifest, target, printer); !status.ok()) {
    return WithContext(ExplainUnreachable(status), "export");
  }
  if (!table) {
    std::printf("%s", Format(*manifest, cli.output).c_str());
    return kExitSucceeded;
  }
  uint64_t bytes = 0;
  for (const auto& file : manifest->files()) {
    std::printf("  %s  %s\n", file.path().c_str(), SizeText(file.size()).c_str());
    bytes += file.size();
  }
  std::printf("exported %s to %s: %s, %s\n", what.c_str(), target.c_str(), Plural(manifest->files_size(), "file").c_str(),
              SizeText(bytes).c_str());
  return kExitSucceeded;
}

}  // namespace

void AddExportCommand(CLI::App& app, Cli& cli) {
  auto flags = std::make_shared<ModelExportFlags>();
  CLI::App* command =
      app.add_subcommand("export", "Write a job's model as a sentence-transformers folder")->fallthrough();
  command->add_option("job", flags->job, kJobHelp)->required()->type_name("JOB");
  command->add_option("dir", flags->folder, "A new or empty folder")->required()->type_name("DIR");
  CLI::Option* step = command
                          ->add_option("--step", flags->step,
                                       "The checkpoint of this step instead; a separate job makes a model of it")
                          ->type_name("STEP")
                          ->check(CLI::PositiveNumber);
  CLI::Option* overrides = command
                               ->add_option("--set", flags->overrides,
                                            "A field of the job that makes the model: --set resources.queue=exports; may be repeated")
                               ->type_name("FIELD=VALUE")
                               ->allow_extra_args(false);
  OnlyWith(overrides, step);
  command->callback([&cli, flags] { cli.action = [&cli, flags] { return Export(cli, *flags); }; });
}

}  // namespace muster
