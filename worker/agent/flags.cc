#include "worker/agent/flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/address.h"
#include "common/files.h"
#include "common/status.h"

namespace muster {
namespace {

// An IPv6 address may have brackets, as before a port.
std::string WithoutBrackets(const std::string& address) {
  const bool bracketed = address.size() > 2 && address.front() == '[' && address.back() == ']';
  return bracketed ? address.substr(1, address.size() - 2) : address;
}

}  // namespace

void AddWorkerFlags(CLI::App& app, WorkerFlags& flags) {
  app.add_option("--coordinator", flags.coordinator, "Address of the coordinator, HOST:PORT")->required();
  app.add_option("--name", flags.name, "This worker's name, as in its certificate (default: the host's)");
  app.add_option("--slots", flags.slots, "Ranks that may run here at once (default: one per GPU; without GPUs 1)");
  app.add_option("--device", flags.device, "What ranks run on (auto: GPUs if there are any)")
      ->check(CLI::IsMember({"auto", "cpu", "gpu"}))
      ->capture_default_str();
  app.add_option("--state", flags.state, "Folder for scratch files, cached models and logs")->required();
  app.add_option("--certs", flags.certs, "Folder with ca.pem, cert.pem and key.pem");
  app.add_option("--token-file", flags.token_file, "File with a token of role worker, instead of a certificate");
  app.add_flag("--insecure", flags.insecure, "No TLS; the coordinator must be on this host");
  app.add_option("--rank-binary", flags.rank_binary, "The rank's program (default: muster-rank next to this one)");
  app.add_option("--cache-bytes", flags.cache_bytes, "Maximum size of cached models, such as 20GB")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/true))
      ->capture_default_str();
  app.add_option("--metrics", flags.metrics, "Where Prometheus scrapes, HOST:PORT")->capture_default_str();
  app.add_option("--health", flags.health, "Where probes are answered, HOST:PORT: grpc.health.v1 in plain text; empty: none")
      ->capture_default_str();
  app.add_option("--port-file", flags.port_file, "Written once it runs: {\"metrics_port\": N, \"health_port\": N}");
  app.add_option("--drain-timeout", flags.drain_timeout, "Seconds that ranks have after SIGTERM to save a checkpoint and stop; 0: none")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str();
  app.add_option("--interface", flags.interface,
                 "How ranks reach each other: an address, an interface's name or a network such as 10.0.0.0/16 "
                 "(default: the interface towards the coordinator)");
  app.add_option("--rank-env", flags.rank_env, "A further environment variable that ranks inherit, by name; may be repeated")
      ->type_name("NAME")
      ->allow_extra_args(false);
  app.add_option("--log-level", flags.log_level, "trace, debug, info, warning or error")
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error"}))
      ->capture_default_str();
  app.add_option("--log-format", flags.log_format, "Format of log lines, including the ranks': text, or json with one object per line")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
}

absl::StatusOr<RankInterface> ResolveInterface(const WorkerFlags& flags, const HostFacts& host) {
  if (!flags.interface.empty()) return ChooseInterface(host.interfaces, WithoutBrackets(flags.interface));
  const std::string& address = host.interface_towards_coordinator;
  if (address.empty()) {
    return absl::UnavailableError(absl::StrCat(flags.coordinator, ": no route to this address. Is it HOST:PORT, and can the "
                                               "host be resolved? Otherwise name an interface of this host with --interface."));
  }
  const NetworkInterface* owner = InterfaceOf(host.interfaces, address);
  return RankInterface{owner == nullptr ? "" : owner->name, address};
}

absl::StatusOr<Agent::Options> ResolveFlags(const WorkerFlags& flags, const HostFacts& host) {
  if (flags.insecure == !flags.certs.empty()) {
    return absl::InvalidArgumentError("give either --certs DIR or --insecure");
  }
  RETURN_IF_ERROR(WithContext(ParseServerAddress(flags.coordinator).status(), "--coordinator"));
  Agent::Options options;
  AgentFacts& facts = options.core.facts;
  facts.worker = flags.name.empty() ? absl::AsciiStrToLower(host.name) : flags.name;
  if (!IsValidName(facts.worker)) {
    return absl::InvalidArgumentError(absl::StrCat("\"", facts.worker, "\" is not a valid name: up to 63 of a-z, 0-9, \".\", "
                                                   "\"_\" and \"-\". Give another with --name."));
  }
  facts.host = host.name;
  facts.cores = host.cores;
  facts.memory_bytes = host.memory_bytes;
  const bool gpu = flags.device == "gpu" || (flags.device == "auto" && !host.gpus.empty());
  if (gpu && host.gpus.empty()) {
    return absl::FailedPreconditionError("--device gpu: this host has no GPU that the NVIDIA driver shows. Check nvidia-smi.");
  }
  facts.device = gpu ? "gpu" : "cpu";
  facts.device_name = gpu ? host.gpus.front() : "";
  facts.slots = flags.slots.value_or(gpu ? static_cast<uint32_t>(host.gpus.size()) : 1);
  if (facts.slots == 0) return absl::InvalidArgumentError("--slots: at least 1");
  if (gpu && facts.slots > host.gpus.size()) {
    return absl::InvalidArgumentError(absl::StrCat("--slots ", facts.slots, ": this host has ", host.gpus.size(),
                                                   " GPUs, and a slot is one of them"));
  }
  options.health = flags.health;
  options.core.drain_timeout = absl::Seconds(flags.drain_timeout);
  options.core.coordinator_address = flags.coordinator;
  options.core.log_format = flags.log_format;
  options.core.state = std::filesystem::absolute(flags.state);
  if (!flags.certs.empty()) options.core.certificates = std::filesystem::absolute(flags.certs).string();
  if (!flags.token_file.empty()) options.core.token_file = std::filesystem::absolute(flags.token_file).string();
  options.security = {.certificates = options.core.certificates,
                      .insecure = flags.insecure,
                      .token_file = options.core.token_file};
  ASSIGN_OR_RETURN(const RankInterface interface, ResolveInterface(flags, host));
  options.core.interface_address = interface.address;
  options.cache_bytes = flags.cache_bytes;
  options.rank_binary = std::filesystem::absolute(
      flags.rank_binary.empty() ? host.program_folder / "muster-rank" : flags.rank_binary);
  if (!std::filesystem::exists(options.rank_binary)) {
    return absl::NotFoundError(absl::StrCat(options.rank_binary.string(), ": not found. Name the rank's program with --rank-binary."));
  }
  return options;
}

}  // namespace muster
