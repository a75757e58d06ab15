// muster logs JOB
#include <grpcpp/client_context.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/call.h"
#include "client/commands/commands.h"
#include "client/find_job.h"
#include "client/interrupt.h"
#include "client/words.h"
#include "common/exit_code.h"
#include "common/status.h"
#include "muster/v1/job.grpc.pb.h"

namespace muster {
namespace {

struct LogsFlags {
  std::string id;
  bool follow = false;
  int rank = -1;
  int attempt = -1;
};

// Lines of several ranks or attempts are distinguished by "attempt/rank".
void Print(const muster::v1::StreamJobLogsResponse& part, bool one_rank) {
  const bool whole_lines = !part.text().empty() && part.text().back() == '\n';
  std::vector<std::string> lines = absl::StrSplit(part.text(), '\n');
  if (whole_lines) lines.pop_back();
  for (const std::string& line : lines) {
    if (!one_rank) std::printf("%u/%u ", part.attempt(), part.rank());
    std::printf("%s\n", line.c_str());
  }
  std::fflush(stdout);
}

// Reports a rank or attempt that the job never had, which would otherwise look like an empty log.
absl::Status CheckExists(muster::v1::JobService::Stub& stub, const std::string& id, const LogsFlags& flags) {
  if (flags.rank < 0 && flags.attempt < 0) return absl::OkStatus();
  muster::v1::GetJobRequest request;
  request.set_id(id);
  const auto response = Call(stub, &muster::v1::JobService::Stub::GetJob, request);
  if (!response.ok()) return response.status();
  const muster::v1::Job& job = response->job();
  int ranks = static_cast<int>(std::max(job.spec().resources().slots().min(), job.spec().resources().slots().max()));
  int last_attempt = 0;
  for (const muster::v1::AttemptInfo& attempt : job.attempts()) {
    last_attempt = std::max(last_attempt, static_cast<int>(attempt.number()));
    const bool asked = flags.attempt < 0 || static_cast<int>(attempt.number()) == flags.attempt;
    if (asked) ranks = flags.attempt < 0 ? std::max(ranks, attempt.ranks_size()) : attempt.ranks_size();
  }
  if (flags.attempt == 0 || (flags.attempt > last_attempt && !flags.follow)) {
    return absl::InvalidArgumentError(
        absl::StrCat("job ", id, " has no attempt ", flags.attempt,
                     last_attempt == 0 ? ": it has not started yet." : absl::StrCat(". It has had ", last_attempt, ".")));
  }
  if (ranks > 0 && flags.rank >= ranks) {
    return absl::InvalidArgumentError(absl::StrCat("job ", id, " has no rank ", flags.rank, ". It has ",
                                                   Plural(ranks, "rank"), ", from 0 to ", ranks - 1, "."));
  }
  return absl::OkStatus();
}

absl::StatusOr<int> PrintLogs(muster::v1::JobService::Stub& stub, const std::string& id, const LogsFlags& flags) {
  muster::v1::StreamJobLogsRequest request;
  request.set_id(id);
  request.set_follow(flags.follow);
  if (flags.rank >= 0) request.set_rank(flags.rank);
  if (flags.attempt >= 0) request.set_attempt(flags.attempt);
  RETURN_IF_ERROR(CheckExists(stub, id, flags));
  const InterruptScope interrupt(flags.follow ? absl::StrCat("job ", id, " keeps running. Read its logs with muster logs -f ", id, ".")
                                              : "logs: interrupted.");
  grpc::ClientContext context;
  const auto reader = stub.StreamJobLogs(&context, request);
  muster::v1::StreamJobLogsResponse part;
  while (reader->Read(&part)) Print(part, flags.rank >= 0);
  const absl::Status status = FromGrpc(reader->Finish());
  if (!status.ok()) return ExplainUnreachable(status);
  return kExitSucceeded;
}

absl::StatusOr<int> Logs(const Cli& cli, const LogsFlags& flags) {
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  const auto stub = muster::v1::JobService::NewStub(connection.coordinator());
  absl::StatusOr<int> code = WithJob(*stub, flags.id, [&](const std::string& id) { return PrintLogs(*stub, id, flags); });
  if (!code.ok()) return WithContext(code.status(), "logs");
  return code;
}

}  // namespace

void AddLogsCommand(CLI::App& app, Cli& cli) {
  auto flags = std::make_shared<LogsFlags>();
  CLI::App* command = app.add_subcommand("logs", "Print what a job's ranks logged")->fallthrough();
  command->add_option("job", flags->id, kJobHelp)->required()->type_name("JOB");
  command->add_flag("-f,--follow", flags->follow, "Keep printing until the job has ended");
  command->add_option("--rank", flags->rank, "Only this rank")->type_name("RANK")->check(CLI::NonNegativeNumber);
  command->add_option("--attempt", flags->attempt, "Only this attempt")->type_name("N")->check(CLI::NonNegativeNumber);
  PrintsItsOwnFormat(command, cli);
  command->callback([&cli, flags] { cli.action = [&cli, flags] { return Logs(cli, *flags); }; });
}

}  // namespace muster
