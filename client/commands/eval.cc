// muster eval MODEL DATASET: a job that trains nothing.
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/call.h"
#include "client/commands/commands.h"
#include "client/commands/follow.h"
#include "client/find_job.h"
#include "client/job_file.h"
#include "common/status.h"
#include "muster/v1/job.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::JobService;

struct EvalFlags {
  std::string model, dataset;
  std::string split = "test";
  std::vector<std::string> overrides;
  std::string request_id;
};

absl::StatusOr<int> Evaluate(const Cli& cli, const EvalFlags& flags) {
  const nlohmann::json job_file = {{"name", ValidJobName(absl::StrCat("eval-", flags.model, "-", flags.dataset))},
                                   {"model", {{"from", flags.model}}},
                                   {"duration", {{"steps", 0}}},
                                   {"report", {{"dataset", flags.dataset}, {"split", flags.split}}}};
  muster::v1::SubmitJobRequest request;
  ASSIGN_OR_RETURN(*request.mutable_spec(), ParseJobFile("eval", job_file.dump(), flags.overrides));
  request.set_request_id(RequestIdOr(flags.request_id));
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  const auto stub = JobService::NewStub(connection.coordinator());
  if (const absl::Status status = CompleteModelJob(*stub, *request.mutable_spec()); !status.ok()) return WithContext(status, "eval");
  std::vector<std::string> notes;
  const auto submitted =
      Call(*stub, &JobService::Stub::SubmitJob, request, {.patience = absl::Seconds(20), .notes = &notes});
  if (!submitted.ok()) return WithContext(submitted.status(), "eval");
  for (const std::string& note : notes) std::fprintf(stderr, "note: %s\n", note.c_str());
  AnnounceJob(cli, submitted->job());
  return FollowJob(cli, connection, submitted->job().id(), {});
}

}  // namespace

void AddEvalCommand(CLI::App& app, Cli& cli) {
  auto flags = std::make_shared<EvalFlags>();
  CLI::App* command = app.add_subcommand("eval", "Measure a model on a dataset")->fallthrough();
  command->add_option("model", flags->model, "A pushed model, job:JOB, or job:JOB@STEP")->required()->type_name("MODEL");
  command->add_option("dataset", flags->dataset, "An imported dataset")->required()->type_name("DATASET");
  command->add_option("--split", flags->split, "Split of the dataset")->type_name("SPLIT")->capture_default_str();
  command->add_option("--set", flags->overrides, "A field of the job: --set resources.slots.min=4; may be repeated")
      ->type_name("FIELD=VALUE")
      ->allow_extra_args(false);
  command->add_option("--request-id", flags->request_id, "Id of this request; repeating it returns the same job")->type_name("ID");
  command->callback([&cli, flags] { cli.action = [&cli, flags] { return Evaluate(cli, *flags); }; });
}

}  // namespace muster
