// muster watch JOB
#include <cstdio>
#include <memory>

#include "client/commands/commands.h"
#include "client/watch_job.h"
#include "common/status.h"

namespace muster {
namespace {

struct WatchFlags {
  std::string id;
  double timeout = 0;
};

absl::StatusOr<int> Watch(const Cli& cli, const WatchFlags& flags) {
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  const bool table = cli.output == OutputFormat::kTable;
  FILE* out = table ? stdout : stderr;
  ProgressPrinter printer(out, StyleOf(out));
  WatchOptions options;
  if (flags.timeout > 0) options.timeout = absl::Seconds(flags.timeout);
  auto job = WatchJob(connection.coordinator(), flags.id, printer, options);
  if (!job.ok()) return WithContext(job.status(), "watch");
  std::printf("%s", (table ? BeforeAfterTable(*job) : Format(*job, cli.output)).c_str());
  return ExitCodeOf(*job);
}

}  // namespace

void AddWatchCommand(CLI::App& app, Cli& cli) {
  auto flags = std::make_shared<WatchFlags>();
  CLI::App* command = app.add_subcommand("watch", "Follow a job to its end")->fallthrough();
  command->add_option("job", flags->id, "Id of the job")->required()->type_name("JOB");
  command->add_option("--timeout", flags->timeout, "Give up watching after so many seconds (exit code 4)")
      ->type_name("SECONDS");
  command->callback([&cli, flags] { cli.action = [&cli, flags] { return Watch(cli, *flags); }; });
}

}  // namespace muster
