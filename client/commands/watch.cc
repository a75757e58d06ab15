// muster watch JOB
#include <memory>

#include "client/commands/commands.h"
#include "client/commands/follow.h"
#include "client/find_job.h"
#include "common/status.h"

namespace muster {
namespace {

struct WatchFlags {
  std::string id;
  double timeout = 0;
};

absl::StatusOr<int> Watch(const Cli& cli, const WatchFlags& flags) {
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  WatchOptions options;
  if (flags.timeout > 0) options.timeout = absl::Seconds(flags.timeout);
  const auto stub = muster::v1::JobService::NewStub(connection.coordinator());
  absl::StatusOr<int> code =
      WithJob(*stub, flags.id, [&](const std::string& id) { return FollowJob(cli, connection, id, options); });
  if (!code.ok()) return WithContext(code.status(), "watch");
  return code;
}

}  // namespace

void AddWatchCommand(CLI::App& app, Cli& cli) {
  auto flags = std::make_shared<WatchFlags>();
  CLI::App* command = app.add_subcommand("watch", "Follow a job to its end")->fallthrough();
  command->add_option("job", flags->id, kJobHelp)->required()->type_name("JOB");
  command->add_option("--timeout", flags->timeout, "Stop watching after this many seconds (exit code 4)")
      ->type_name("SECONDS")
      ->check(CLI::PositiveNumber);
  command->callback([&cli, flags] { cli.action = [&cli, flags] { return Watch(cli, *flags); }; });
}

}  // namespace muster
