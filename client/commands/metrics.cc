// muster metrics JOB
#include <grpcpp/client_context.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/call.h"
#include "client/commands/commands.h"
#include "client/find_job.h"
#include "client/interrupt.h"
#include "client/words.h"
#include "common/exit_code.h"
#include "muster/v1/job.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::JobService;
using muster::v1::StepMetrics;

struct MetricsFlags {
  std::string id;
  bool follow = false;
  uint64_t after = 0;
};

// A share of the gradient over positives; "-": it was not measured.
std::string ShareCell(double share) { return share == 0 ? "-" : absl::StrFormat("%.4f", share); }

std::string Line(const StepMetrics& point) {
  return absl::StrFormat("%7d  %7d  %7.3f  %9.5f  %9.3g  %9.4g  %9.1f  %10.0f  %7s  %7s  %s\n", point.step(), point.attempt(),
                         point.epoch(), point.loss(), point.learning_rate(), point.gradient_norm(),
                         point.queries_per_second(), point.tokens_per_second(),
                         ShareCell(point.positive_weights().empty() ? 0 : point.positive_weights(0)),
                         ShareCell(point.noise_weight()), TimeText(point.time()));
}

constexpr char kHeader[] =
    "   STEP  ATTEMPT    EPOCH       LOSS         LR  GRAD NORM  QUERIES/S    TOKENS/S  TOP POS    NOISE  TIME\n";

// JSON is one object per line, so that a program reads it while the job runs.
std::string Text(const StepMetrics& point, OutputFormat format) {
  if (format == OutputFormat::kTable) return Line(point);
  if (format == OutputFormat::kYaml) return absl::StrCat("---\n", Format(point, format));
  return nlohmann::ordered_json::parse(JsonText(point)).dump() + "\n";
}

absl::StatusOr<int> PrintMetrics(const Cli& cli, JobService::Stub& stub, const std::string& id, const MetricsFlags& flags) {
  muster::v1::StreamJobMetricsRequest request;
  request.set_id(id);
  request.set_follow(flags.follow);
  request.set_after_step(flags.after);
  const InterruptScope interrupt(flags.follow ? absl::StrCat("job ", id, " keeps running.") : "metrics: interrupted.");
  grpc::ClientContext context;
  const auto reader = stub.StreamJobMetrics(&context, request);
  muster::v1::StreamJobMetricsResponse part;
  bool any = false;
  while (reader->Read(&part)) {
    if (!any && cli.output == OutputFormat::kTable) std::printf("%s", kHeader);
    any = any || !part.points().empty();
    for (const StepMetrics& point : part.points()) std::printf("%s", Text(point, cli.output).c_str());
    std::fflush(stdout);
  }
  const absl::Status status = FromGrpc(reader->Finish());
  if (!status.ok()) return ExplainUnreachable(status);
  if (!any) std::fprintf(stderr, "job %s has reported no step%s.\n", id.c_str(), flags.after > 0 ? " after that" : "");
  return kExitSucceeded;
}

absl::StatusOr<int> Metrics(const Cli& cli, const MetricsFlags& flags) {
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  const auto stub = JobService::NewStub(connection.coordinator());
  absl::StatusOr<int> code =
      WithJob(*stub, flags.id, [&](const std::string& id) { return PrintMetrics(cli, *stub, id, flags); });
  if (!code.ok()) return WithContext(code.status(), "metrics");
  return code;
}

}  // namespace

void AddMetricsCommand(CLI::App& app, Cli& cli) {
  auto flags = std::make_shared<MetricsFlags>();
  CLI::App* command = app.add_subcommand("metrics", "Print a job's loss, learning rate and speed by step")->fallthrough();
  command->add_option("job", flags->id, kJobHelp)->required()->type_name("JOB");
  command->add_flag("-f,--follow", flags->follow, "Keep printing until the job has ended");
  command->add_option("--after", flags->after, "Only later steps")->type_name("STEP")->check(CLI::NonNegativeNumber);
  command->callback([&cli, flags] { cli.action = [&cli, flags] { return Metrics(cli, *flags); }; });
}

}  // namespace muster
