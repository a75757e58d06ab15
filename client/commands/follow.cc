#include "client/commands/follow.h"

#include <unistd.h>

#include <cstdio>
#include <utility>
#include <vector>

#include "client/call.h"
#include "client/find_job.h"
#include "client/interrupt.h"
#include "common/status.h"

namespace muster {
namespace {

bool ForPeople(const Cli& cli) { return cli.output == OutputFormat::kTable && isatty(STDOUT_FILENO) != 0; }

}  // namespace

absl::StatusOr<muster::v1::Job> SubmitJobOf(const std::string& command, muster::v1::JobService::Stub& stub,
                                            muster::v1::SubmitJobRequest request) {
  if (const absl::Status status = CompleteModelJob(stub, *request.mutable_spec()); !status.ok()) {
    return WithContext(status, command);
  }
  std::vector<std::string> notes;
  auto submitted =
      Call(stub, &muster::v1::JobService::Stub::SubmitJob, request, {.patience = absl::Seconds(20), .notes = &notes});
  if (!submitted.ok()) return WithContext(submitted.status(), command);
  for (const std::string& note : notes) std::fprintf(stderr, "note: %s\n", note.c_str());
  return std::move(*submitted->mutable_job());
}

FILE* ProgressStream(const Cli& cli) { return ForPeople(cli) ? stdout : stderr; }

void AnnounceJob(const Cli& cli, const muster::v1::Job& job) {
  FILE* out = cli.output == OutputFormat::kTable ? stdout : stderr;
  std::fprintf(out, "job %s (%s)\n", job.id().c_str(), job.spec().name().c_str());
  std::fflush(out);
}

absl::StatusOr<muster::v1::Job> FollowToEnd(const Cli& cli, const Connection& connection, const std::string& id,
                                            const WatchOptions& options) {
  const InterruptScope interrupt(JobGoesOn(id));
  FILE* out = ProgressStream(cli);
  ProgressPrinter printer(out, StyleOf(out));
  return WatchJob(connection.coordinator(), id, printer, options);
}

std::string ResultTable(const Cli& cli, const muster::v1::Job& job) {
  if (const std::string table = BeforeAfterTable(job); !table.empty()) return table;
  if (ForPeople(cli)) return "";  // the progress already printed the evaluations
  std::string lines;
  for (const auto& evaluation : job.evaluations()) lines += EvaluationLine(evaluation) + "\n";
  return lines;
}

absl::StatusOr<int> FollowJob(const Cli& cli, const Connection& connection, const std::string& id,
                              const WatchOptions& options) {
  ASSIGN_OR_RETURN(const muster::v1::Job job, FollowToEnd(cli, connection, id, options));
  const bool table = cli.output == OutputFormat::kTable;
  std::printf("%s", (table ? ResultTable(cli, job) : FinalJobText(job, cli.output)).c_str());
  return ExitCodeOf(job);
}

}  // namespace muster
