// muster-data: datasets, models and checkpoints, and each rank's share of every step.
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "common/exit_code.h"
#include "common/files.h"
#include "common/flags/parse_flags.h"
#include "common/log.h"
#include "common/process/stop_signals.h"
#include "common/rpc/grpc_setup.h"
#include "common/status.h"
#include "coordinator/data/service/data_server.h"

namespace muster {
namespace {

struct Flags {
  Flags() { server.health = "127.0.0.1:7082"; }

  DataServer::Options server;
  double shutdown_grace = 5;  // seconds
  std::string port_file, log_level = "info", log_format = "text";
};

void AddFlags(CLI::App& app, Flags& flags) {
  app.add_option("--listen", flags.server.listen, "host:port of the gRPC server; port 0: a free one")->capture_default_str();
  app.add_option("--metrics", flags.server.metrics, "host:port of Prometheus metrics; port 0: a free one")
      ->capture_default_str();
  app.add_option("--health", flags.server.health, "host:port of probes: grpc.health.v1 in plain text; empty: none")
      ->capture_default_str();
  app.add_option("--state", flags.server.state, "folder on a local disk for datasets, blobs and names")->required();
  auto* certs = app.add_option("--certs", flags.server.security.certificates, "folder with ca.pem, cert.pem and key.pem");
  app.add_option("--tokens", flags.server.tokens, "file of tokens, made by `muster tokens`");
  app.add_option("--calls-per-second", flags.server.limits.calls_per_second, "calls per second of one user, in the long run; 0: no limit")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--streams", flags.server.limits.streams, "open streams of one user; 0: no limit")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_flag("--insecure", flags.server.security.insecure, "no TLS; loopback only")->excludes(certs);
  app.add_option("--store-budget", flags.server.store_budget,
                 "most bytes to store, such as 200GB; beyond it imports and pushes are refused; 0: limited only by the disk")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/true))
      ->capture_default_str();
  app.add_option("--port-file", flags.port_file, "file to write {\"port\", \"metrics_port\", \"health_port\"} to when ready");
  app.add_option("--shutdown-grace", flags.shutdown_grace,
                 "seconds that running calls have after SIGTERM; a second one ends it at once")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  app.add_option("--log-level", flags.log_level, "minimum level of log lines")
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error"}))
      ->capture_default_str();
  app.add_option("--log-format", flags.log_format, "text, or json: one object per line")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
}

absl::Status Serve(const Flags& flags, StopSignals& signals) {
  if (!flags.server.security.insecure && flags.server.security.certificates.empty()) {
    return absl::InvalidArgumentError("--certs DIR is needed (or --insecure, for loopback)");
  }
  if (flags.server.security.insecure && !flags.server.tokens.empty()) {
    return absl::InvalidArgumentError("--tokens: without TLS no token is read. Leave out one of --tokens and --insecure.");
  }
  ASSIGN_OR_RETURN(const auto server, DataServer::Start(flags.server));
  spdlog::info("serving on port {}, metrics on port {}, health on port {}, state in {}", server->port(),
               server->metrics_port(), server->health_port(), flags.server.state.string());
  if (!flags.port_file.empty()) {
    const nlohmann::json ports = {
        {"port", server->port()}, {"metrics_port", server->metrics_port()}, {"health_port", server->health_port()}};
    RETURN_IF_ERROR(WriteFileAtomically(flags.port_file, ports.dump() + "\n"));
  }
  const int signal = signals.Wait();
  spdlog::info("signal {}: shuts down", signal);
  signals.ExitOnNext(kExitCancelled);
  server->Shutdown(absl::Seconds(flags.shutdown_grace));
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Muster's data server: datasets, models and checkpoints, and each rank's share of every step.",
               "muster-data");
  AddFlags(app, flags);
  if (const std::optional<int> code = ParseFlags(app, argc, argv)) return *code;
  InitLog("muster-data", flags.log_level, LogFormatFrom(flags.log_format));
  SetUpGrpc();
  StopSignals signals;
  const absl::Status status = Serve(flags, signals);
  if (status.ok()) return kExitSucceeded;
  std::fprintf(stderr, "muster-data: %s\n", std::string(status.message()).c_str());
  return status.code() == absl::StatusCode::kInvalidArgument ? kExitUsage : kExitJobFailed;
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) { return muster::Main(argc, argv); }
