// muster export JOB DIR
#include <cstdio>
#include <filesystem>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/call.h"
#include "client/commands/commands.h"
#include "client/find_job.h"
#include "client/new_folder.h"
#include "client/transfer.h"
#include "client/words.h"
#include "common/clock.h"
#include "common/exit_code.h"
#include "common/rpc/blobs.h"
#include "muster/v1/job.grpc.pb.h"

namespace muster {
namespace {

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

// Why a job has no model, and what to do.
std::string NoModel(const muster::v1::Job& job) {
  const std::string state = absl::StrCat("job ", job.id(), " has no model: ");
  if (job.phase() == muster::v1::JOB_PHASE_FAILED) {
    return absl::StrCat(state, "it failed (", job.reason(), "). Submit it again.");
  }
  if (job.phase() == muster::v1::JOB_PHASE_CANCELLED) return absl::StrCat(state, "it was cancelled. Submit it again.");
  if (job.phase() == muster::v1::JOB_PHASE_SUCCEEDED) return absl::StrCat(state, "it only evaluated a model.");
  if (job.phase() == muster::v1::JOB_PHASE_PAUSED) {
    return absl::StrCat(state, "it is paused. Resume it with muster resume ", job.id(), ".");
  }
  return absl::StrCat(state, "it is ", WordOf(job.phase()), ". Wait for its end with muster watch ", job.id(), ".");
}

absl::StatusOr<int> Export(const Cli& cli, const std::string& given, const std::string& folder) {
  ASSIGN_OR_RETURN(const std::filesystem::path target, NewFolderTarget("export", folder));
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  const auto stub = JobService::NewStub(connection.coordinator());
  const auto job = GetNamedJob(*stub, given);
  if (!job.ok()) return WithContext(job.status(), "export");
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
  std::printf("exported job %s to %s: %s, %s\n", job->id().c_str(), target.c_str(),
              Plural(manifest->files_size(), "file").c_str(), SizeText(bytes).c_str());
  return kExitSucceeded;
}

}  // namespace

void AddExportCommand(CLI::App& app, Cli& cli) {
  auto id = std::make_shared<std::string>();
  auto folder = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("export", "Write a job's model as a sentence-transformers folder")->fallthrough();
  command->add_option("job", *id, kJobHelp)->required()->type_name("JOB");
  command->add_option("dir", *folder, "A new or empty folder")->required()->type_name("DIR");
  command->callback([&cli, id, folder] { cli.action = [&cli, id, folder] { return Export(cli, *id, *folder); }; });
}

}  // namespace muster
