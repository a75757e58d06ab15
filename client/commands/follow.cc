#include "client/commands/follow.h"

#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "client/interrupt.h"
#include "common/status.h"

namespace muster {
namespace {

bool ForPeople(const Cli& cli) { return cli.output == OutputFormat::kTable && isatty(STDOUT_FILENO) != 0; }

std::string ResultText(const Cli& cli, const muster::v1::Job& job) {
  if (cli.output != OutputFormat::kTable) return FinalJobText(job, cli.output);
  if (const std::string table = BeforeAfterTable(job); !table.empty()) return table;
  if (ForPeople(cli)) return "";  // the progress already printed the evaluations
  std::string lines;
  for (const auto& evaluation : job.evaluations()) lines += EvaluationLine(evaluation) + "\n";
  return lines;
}

}  // namespace

FILE* ProgressStream(const Cli& cli) { return ForPeople(cli) ? stdout : stderr; }

void AnnounceJob(const Cli& cli, const muster::v1::Job& job) {
  FILE* out = cli.output == OutputFormat::kTable ? stdout : stderr;
  std::fprintf(out, "job %s (%s)\n", job.id().c_str(), job.spec().name().c_str());
  std::fflush(out);
}

absl::StatusOr<int> FollowJob(const Cli& cli, const Connection& connection, const std::string& id,
                              const WatchOptions& options) {
  const InterruptScope interrupt(JobGoesOn(id));
  FILE* out = ProgressStream(cli);
  ProgressPrinter printer(out, StyleOf(out));
  ASSIGN_OR_RETURN(const muster::v1::Job job, WatchJob(connection.coordinator(), id, printer, options));
  std::printf("%s", ResultText(cli, job).c_str());
  return ExitCodeOf(job);
}

}  // namespace muster
