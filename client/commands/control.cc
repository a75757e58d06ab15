// muster cancel, pause, resume JOB
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/call.h"
#include "client/commands/commands.h"
#include "client/find_job.h"
#include "client/progress.h"
#include "common/exit_code.h"
#include "muster/v1/job.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::JobService;

struct ControlFlags {
  std::string id;
  std::string request_id;
};

// "pausing 0193f: saving a checkpoint (step 25)" while it is in progress, "job 0193f cancelled by ada" when it is done.
std::string StateText(const std::string& command, const muster::v1::Job& job) {
  if (command == "pause" && job.phase() == muster::v1::JOB_PHASE_TRAINING) {
    const std::string step = job.progress().step() > 0 ? absl::StrCat(" (step ", job.progress().step(), ")") : "";
    return absl::StrCat("pausing ", job.id(), ": saving a checkpoint", step, "\n");
  }
  return absl::StrCat("job ", job.id(), " ", PhaseText(job), "\n");
}

// The three requests and responses have the same fields.
template <typename Request, typename Response>
void AddControl(CLI::App& app, Cli& cli, const std::string& name, const std::string& help,
                grpc::Status (JobService::Stub::*method)(grpc::ClientContext*, const Request&, Response*)) {
  auto flags = std::make_shared<ControlFlags>();
  CLI::App* command = app.add_subcommand(name, help)->fallthrough();
  command->add_option("job", flags->id, kJobHelp)->required()->type_name("JOB");
  command->add_option("--request-id", flags->request_id, "Id of this request; repeating it changes nothing")->type_name("ID");
  command->callback([&cli, flags, name, method] {
    cli.action = [&cli, flags, name, method]() -> absl::StatusOr<int> {
      ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
      const auto stub = JobService::NewStub(connection.coordinator());
      Request request;
      request.set_request_id(RequestIdOr(flags->request_id));
      const auto response = WithJob(*stub, flags->id, [&](const std::string& id) {
        request.set_id(id);
        return Call(*stub, method, request, {.patience = absl::Seconds(20)});
      });
      if (!response.ok()) return WithContext(response.status(), name);
      const muster::v1::Job& job = response->job();
      std::printf("%s", cli.output == OutputFormat::kTable ? StateText(name, job).c_str() : Format(job, cli.output).c_str());
      return kExitSucceeded;
    };
  });
}

}  // namespace

void AddControlCommands(CLI::App& app, Cli& cli) {
  AddControl(app, cli, "cancel", "End a job; its last checkpoint is kept", &JobService::Stub::CancelJob);
  AddControl(app, cli, "pause", "Stop a job with a checkpoint and free its slots", &JobService::Stub::PauseJob);
  AddControl(app, cli, "resume", "Queue a paused job again", &JobService::Stub::ResumeJob);
}

}  // namespace muster
