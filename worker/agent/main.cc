// muster-worker: the agent of one host.
#include <signal.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <random>

#include "absl/strings/str_format.h"
#include "common/clock.h"
#include "common/exit_code.h"
#include "common/files.h"
#include "common/flags/parse_flags.h"
#include "common/host/host_facts.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/process/lock_file.h"
#include "common/rpc/grpc_setup.h"
#include "common/status.h"
#include "worker/agent/agent.h"
#include "worker/agent/flags.h"
#include "worker/agent/gpu_watch.h"
#include "worker/agent/rank_environment.h"

namespace muster {
namespace {

absl::Status RunWorker(const WorkerFlags& flags) {
  const HostFacts host = {HostName(), CoreCount(), MemoryBytes(),
                          flags.device == "cpu" ? std::vector<std::string>() : GpuNames(),
                          std::filesystem::read_symlink("/proc/self/exe").parent_path(),
                          InterfaceTowards(flags.coordinator), NetworkInterfaces()};
  ASSIGN_OR_RETURN(Agent::Options options, ResolveFlags(flags, host));
  std::random_device random;
  options.core.facts.instance = absl::StrFormat("%08x%08x", random(), random());
  options.core.facts.version = MUSTER_VERSION;
  options.core.facts.cpus = AllowedCpus();
  ASSIGN_OR_RETURN(const RankInterface interface, ResolveInterface(flags, host));
  ASSIGN_OR_RETURN(RankVariables variables,
                   ChooseRankVariables(OwnEnvironment(),
                                       {.interface = interface,
                                        .interface_is_chosen = !flags.interface.empty(),
                                        .gpu = options.core.facts.device == "gpu",
                                        .extra = flags.rank_env},
                                       host.interfaces));
  options.environment = std::move(variables.environment);
  const AgentFacts facts = options.core.facts;

  RETURN_IF_ERROR(MakeFolders(options.core.state));
  ASSIGN_OR_RETURN(const OwnedFd lock, LockFile(options.core.state / "lock", "muster-worker"));
  MetricRegistry registry(MetricProgram::kWorker, MUSTER_VERSION);
  ASSIGN_OR_RETURN(const std::unique_ptr<Agent> agent, Agent::Create(std::move(options), RealClock(), registry));
  std::unique_ptr<GpuWatch> gpus;
  if (facts.device == "gpu") {
    absl::StatusOr<std::unique_ptr<Nvml>> nvml = Nvml::Open();
    if (!nvml.ok()) spdlog::warn("no GPU metrics: {}", std::string(nvml.status().message()));
    if (nvml.ok()) gpus = std::make_unique<GpuWatch>(*std::move(nvml), registry);
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<MetricsServer> metrics,
                   MetricsServer::Start(flags.metrics, registry.registry()));
  if (!flags.port_file.empty()) {
    const nlohmann::json ports = {{"metrics_port", metrics->port()}, {"health_port", agent->health_port()}};
    RETURN_IF_ERROR(WriteFileAtomically(flags.port_file, ports.dump() + "\n"));
  }
  SetLogFields({.worker = facts.worker});
  spdlog::info("worker {}: {} {} slots, {} cores, coordinator {}", facts.worker, facts.slots, facts.device, facts.cores,
               flags.coordinator);
  const NetworkInterface* owner = InterfaceOf(host.interfaces, interface.address);
  spdlog::info("ranks talk to each other over {} ({}), unencrypted{}",
               interface.name.empty() ? "an unknown interface" : interface.name, interface.address,
               owner != nullptr && owner->loopback ? "; ranks of other hosts cannot reach it" : "");
  for (const std::string& warning : variables.warnings) spdlog::warn("{}", warning);
  return agent->Run();
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) {
  muster::WorkerFlags flags;
  CLI::App app("The agent of one host: takes ranks from the coordinator, starts, watches and stops them.", "muster-worker");
  app.set_version_flag("--version", MUSTER_VERSION);
  muster::AddWorkerFlags(app, flags);
  if (const std::optional<int> code = muster::ParseFlags(app, argc, argv)) return *code;
  signal(SIGPIPE, SIG_IGN);
  muster::InitLog("muster-worker", flags.log_level, muster::LogFormatFrom(flags.log_format));
  muster::SetUpGrpc();
  const absl::Status status = muster::RunWorker(flags);
  if (!status.ok()) std::fprintf(stderr, "muster-worker: %s\n", std::string(status.message()).c_str());
  return muster::ExitCodeFor(status);
}
