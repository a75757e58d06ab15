// muster workers, queues, drain WORKER
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/call.h"
#include "client/commands/commands.h"
#include "client/list_table.h"
#include "client/words.h"
#include "common/exit_code.h"
#include "common/flags/parse_flags.h"
#include "muster/v1/cluster.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::ClusterService;

std::string SlotsText(const muster::v1::Worker& worker) {
  int used = 0;
  for (const auto& slot : worker.slots()) used += !slot.job_id().empty();
  return absl::StrCat(used, "/", worker.slots_size());
}

absl::StatusOr<int> ListWorkers(const Cli& cli, bool wide) {
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  const auto stub = ClusterService::NewStub(connection.coordinator());
  const auto response = CallAllPages(*stub, &ClusterService::Stub::ListWorkers, muster::v1::ListWorkersRequest());
  if (!response.ok()) return WithContext(response.status(), "workers");
  if (cli.output != OutputFormat::kTable) {
    std::printf("%s", Format(*response, cli.output).c_str());
    return kExitSucceeded;
  }
  Table table({"NAME", "STATE", "DEVICE", "SLOTS USED", "CORES", "MEMORY", "HOST", "VERSION", "LAST HEARD", "REASON"});
  for (const auto& worker : response->workers()) {
    table.Add({worker.name(), WordOf(worker.state()),
               worker.device_name().empty() ? WordOf(worker.device())
                                            : absl::StrCat(WordOf(worker.device()), " (", worker.device_name(), ")"),
               SlotsText(worker), absl::StrCat(worker.cores()), SizeText(worker.memory_bytes()), worker.host(), worker.version(),
               TimeCell(worker.last_heard(), wide), worker.reason()});
  }
  PrintTable(table, wide);
  return kExitSucceeded;
}

absl::StatusOr<int> ListQueues(const Cli& cli) {
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  const auto stub = ClusterService::NewStub(connection.coordinator());
  const auto response = CallAllPages(*stub, &ClusterService::Stub::ListQueues, muster::v1::ListQueuesRequest());
  if (!response.ok()) return WithContext(response.status(), "queues");
  if (cli.output != OutputFormat::kTable) {
    std::printf("%s", Format(*response, cli.output).c_str());
    return kExitSucceeded;
  }
  Table table({"NAME", "SLOTS USED", "RUNNING", "WAITING"});
  for (const auto& queue : response->queues()) {
    table.Add({queue.name(), absl::StrCat(queue.slots_used()), absl::StrCat(queue.jobs_running()),
               absl::StrCat(queue.jobs_waiting())});
  }
  PrintTable(table, false);
  return kExitSucceeded;
}

struct DrainFlags {
  std::string worker;
  bool undo = false, now = false;
  std::string request_id;
};

absl::StatusOr<int> Drain(const Cli& cli, const DrainFlags& flags) {
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  const auto stub = ClusterService::NewStub(connection.coordinator());
  muster::v1::DrainWorkerRequest request;
  request.set_worker(flags.worker);
  request.set_undo(flags.undo);
  request.set_evict(flags.now);
  request.set_request_id(RequestIdOr(flags.request_id));
  const auto response = Call(*stub, &ClusterService::Stub::DrainWorker, request, {.patience = absl::Seconds(20)});
  if (!response.ok()) return WithContext(response.status(), "drain");
  const muster::v1::Worker& worker = response->worker();
  std::printf("%s", cli.output == OutputFormat::kTable
                        ? absl::StrCat("worker ", worker.name(), " ", WordOf(worker.state()), "\n").c_str()
                        : Format(worker, cli.output).c_str());
  return kExitSucceeded;
}

}  // namespace

void AddClusterCommands(CLI::App& app, Cli& cli) {
  auto wide = std::make_shared<bool>(false);
  CLI::App* workers = app.add_subcommand("workers", "List workers and their slots")->fallthrough();
  AddWideFlag(*workers, cli, *wide);
  workers->callback([&cli, wide] { cli.action = [&cli, wide] { return ListWorkers(cli, *wide); }; });
  app.add_subcommand("queues", "List queues")->fallthrough()->callback([&cli] {
    cli.action = [&cli] { return ListQueues(cli); };
  });
  auto flags = std::make_shared<DrainFlags>();
  CLI::App* drain = app.add_subcommand("drain", "Stop placing new ranks on a worker")->fallthrough();
  drain->add_option("worker", flags->worker, "Name of the worker")->required()->type_name("WORKER");
  CLI::Option* undo = drain->add_flag("--undo", flags->undo, "Place ranks on it again");
  CLI::Option* now =
      drain->add_flag("--now", flags->now, "Jobs that run there save a checkpoint, stop, and continue on other workers");
  AtMostOne({undo, now});
  drain->add_option("--request-id", flags->request_id, "Id of this request; repeating it changes nothing")->type_name("ID");
  drain->callback([&cli, flags] { cli.action = [&cli, flags] { return Drain(cli, *flags); }; });
}

}  // namespace muster
