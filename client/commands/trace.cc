// muster trace JOB FILE
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/call.h"
#include "client/commands/commands.h"
#include "client/find_job.h"
#include "client/progress.h"
#include "client/words.h"
#include "common/exit_code.h"
#include "common/files.h"
#include "common/rpc/blobs.h"
#include "muster/v1/job.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::JobService;

std::string NoTrace(const muster::v1::Job& job) {
  const std::string state = absl::StrCat("job ", job.id(), " has no trace: ");
  if (job.spec().trace_steps() == 0) {
    return absl::StrCat(state, "it was submitted without one. Submit it with --profile STEPS.");
  }
  if (IsOver(job.phase())) return absl::StrCat(state, "it ended before one was stored (", job.reason(), ").");
  return absl::StrCat(state, "it is ", WordOf(job.phase()), ". The trace is there after step ",
                      job.spec().trace_steps() + 2, " of an attempt.");
}

absl::StatusOr<int> Trace(const Cli& cli, const std::string& given, const std::filesystem::path& file) {
  if (std::filesystem::exists(file)) {
    return absl::AlreadyExistsError(absl::StrCat("trace: ", file.string(), " exists. Name a new file."));
  }
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  const auto stub = JobService::NewStub(connection.coordinator());
  const auto job = GetNamedJob(*stub, given);
  if (!job.ok()) return WithContext(job.status(), "trace");
  if (job->trace_manifest().empty()) return absl::FailedPreconditionError(absl::StrCat("trace: ", NoTrace(*job)));
  ASSIGN_OR_RETURN(const auto channel, connection.Data());
  BlobClient blobs(channel);
  const auto manifest = blobs.GetManifest(job->trace_manifest());
  if (!manifest.ok()) return WithContext(ExplainUnreachable(manifest.status()), "trace");
  if (manifest->files_size() != 1) return absl::DataLossError("trace: the stored file is not a trace");
  if (const absl::Status status = blobs.GetFile(manifest->files(0).digest(), file); !status.ok()) {
    return WithContext(ExplainUnreachable(status), "trace");
  }
  const uint64_t bytes = manifest->files(0).size();
  if (cli.output != OutputFormat::kTable) {
    std::printf("%s", Format(nlohmann::ordered_json{{"file", file.string()}, {"bytes", bytes}}, cli.output).c_str());
  } else {
    std::printf("wrote the trace of job %s to %s: %s. Open it at https://ui.perfetto.dev or chrome://tracing.\n", job->id().c_str(),
                file.c_str(), SizeText(bytes).c_str());
  }
  return kExitSucceeded;
}

}  // namespace

void AddTraceCommand(CLI::App& app, Cli& cli) {
  auto id = std::make_shared<std::string>();
  auto file = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("trace", "Write the trace that submit --profile asked for")->fallthrough();
  command->add_option("job", *id, kJobHelp)->required()->type_name("JOB");
  command->add_option("file", *file, "A new file, for Perfetto or chrome://tracing")->required()->type_name("FILE");
  command->callback([&cli, id, file] { cli.action = [&cli, id, file] { return Trace(cli, *id, *file); }; });
}

}  // namespace muster
