// muster-data: datasets, models and checkpoints, and each rank's share of every step.
#include <pthread.h>
#include <signal.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "common/exit_code.h"
#include "common/files.h"
#include "common/log.h"
#include "common/rpc/grpc_log.h"
#include "common/status.h"
#include "coordinator/data/service/data_server.h"

namespace muster {
namespace {

constexpr absl::Duration kGrace = absl::Seconds(5);

struct Flags {
  DataServer::Options server;
  std::string port_file, log_level = "info", log_format = "text";
};

void AddFlags(CLI::App& app, Flags& flags) {
  app.add_option("--listen", flags.server.listen, "host:port of the gRPC server; port 0: a free one")->capture_default_str();
  app.add_option("--metrics", flags.server.metrics, "host:port of Prometheus metrics; port 0: a free one")
      ->capture_default_str();
  app.add_option("--state", flags.server.state, "folder on a local disk for datasets, blobs and names")->required();
  auto* certs = app.add_option("--certs", flags.server.security.certificates, "folder with ca.pem, cert.pem and key.pem");
  app.add_flag("--insecure", flags.server.security.insecure, "no TLS; loopback only")->excludes(certs);
  app.add_option("--port-file", flags.port_file, "file to write {\"port\", \"metrics_port\"} to when ready");
  app.add_option("--log-level", flags.log_level, "least level of log lines")
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error"}))
      ->capture_default_str();
  app.add_option("--log-format", flags.log_format, "text, or json: one object a line")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
}

absl::Status Serve(const Flags& flags, const sigset_t& signals) {
  if (!flags.server.security.insecure && flags.server.security.certificates.empty()) {
    return absl::InvalidArgumentError("--certs DIR is needed (or --insecure, for loopback)");
  }
  ASSIGN_OR_RETURN(const auto server, DataServer::Start(flags.server));
  spdlog::info("serving on port {}, metrics on port {}, state in {}", server->port(), server->metrics_port(),
               flags.server.state.string());
  if (!flags.port_file.empty()) {
    const nlohmann::json ports = {{"port", server->port()}, {"metrics_port", server->metrics_port()}};
    RETURN_IF_ERROR(WriteFileAtomically(flags.port_file, ports.dump() + "\n"));
  }
  int signal = 0;
  sigwait(&signals, &signal);
  spdlog::info("signal {}: going down", signal);
  server->Shutdown(kGrace);
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Muster's data server: datasets, models and checkpoints, and each rank's share of every step.",
               "muster-data");
  AddFlags(app, flags);
  try {  // CLI11 reports wrong flags and --help by exceptions
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitSucceeded : kExitUsage;
  }
  InitLog("muster-data", flags.log_level, LogFormatFrom(flags.log_format));
  RouteGrpcLogs();
  // Before any thread starts, so that all of them leave these signals to sigwait.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const absl::Status status = Serve(flags, signals);
  if (status.ok()) return kExitSucceeded;
  std::fprintf(stderr, "muster-data: %s\n", std::string(status.message()).c_str());
  return status.code() == absl::StatusCode::kInvalidArgument ? kExitUsage : kExitJobFailed;
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) { return muster::Main(argc, argv); }
