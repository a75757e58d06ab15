// muster logs JOB
#include <grpcpp/client_context.h>

#include <cstdio>
#include <memory>
#include <vector>

#include "absl/strings/str_split.h"
#include "client/call.h"
#include "client/commands/commands.h"
#include "common/exit_code.h"
#include "muster/v1/job.grpc.pb.h"

namespace muster {
namespace {

struct LogsFlags {
  std::string id;
  bool follow = false;
  int rank = -1;
  int attempt = -1;
};

// Lines of several ranks or attempts are told apart by "attempt/rank".
void Print(const muster::v1::LogsResponse& part, bool one_rank) {
  const bool whole_lines = !part.text().empty() && part.text().back() == '\n';
  std::vector<std::string> lines = absl::StrSplit(part.text(), '\n');
  if (whole_lines) lines.pop_back();
  for (const std::string& line : lines) {
    if (!one_rank) std::printf("%u/%u ", part.attempt(), part.rank());
    std::printf("%s\n", line.c_str());
  }
  std::fflush(stdout);
}

absl::StatusOr<int> Logs(const Cli& cli, const LogsFlags& flags) {
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  const auto stub = muster::v1::JobService::NewStub(connection.coordinator());
  muster::v1::LogsRequest request;
  request.set_id(flags.id);
  request.set_follow(flags.follow);
  if (flags.rank >= 0) request.set_rank(flags.rank);
  if (flags.attempt >= 0) request.set_attempt(flags.attempt);
  grpc::ClientContext context;
  const auto reader = stub->Logs(&context, request);
  muster::v1::LogsResponse part;
  while (reader->Read(&part)) Print(part, flags.rank >= 0);
  const absl::Status status = FromGrpc(reader->Finish());
  if (!status.ok()) return WithContext(ExplainUnreachable(status), "logs");
  return kExitSucceeded;
}

}  // namespace

void AddLogsCommand(CLI::App& app, Cli& cli) {
  auto flags = std::make_shared<LogsFlags>();
  CLI::App* command = app.add_subcommand("logs", "Print what a job's ranks logged")->fallthrough();
  command->add_option("job", flags->id, "Id of the job")->required()->type_name("JOB");
  command->add_flag("-f,--follow", flags->follow, "Go on until the job is over");
  command->add_option("--rank", flags->rank, "One rank alone")->type_name("RANK")->check(CLI::NonNegativeNumber);
  command->add_option("--attempt", flags->attempt, "One attempt alone")->type_name("N")->check(CLI::NonNegativeNumber);
  command->callback([&cli, flags] { cli.action = [&cli, flags] { return Logs(cli, *flags); }; });
}

}  // namespace muster
