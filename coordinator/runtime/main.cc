// muster-coordinator: takes jobs, places them on workers, and sees them through.
#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/exit_code.h"
#include "common/files.h"
#include "common/log.h"
#include "common/rpc/grpc_log.h"
#include "coordinator/runtime/coordinator.h"

namespace {

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "muster-coordinator: %s\n", std::string(status.message()).c_str());
  return status.code() == absl::StatusCode::kInvalidArgument ? muster::kExitUsage : muster::kExitJobFailed;
}

}  // namespace

int main(int argc, char** argv) {
  muster::Coordinator::Options options;
  std::string certs, port_file, log_level = "info", log_format = "text";
  CLI::App app{"Takes training jobs, places them on workers, and sees them through."};
  app.name("muster-coordinator");
  app.add_option("--listen", options.listen, "HOST:PORT of the services; port 0 picks a free one")->capture_default_str();
  app.add_option("--metrics", options.metrics, "HOST:PORT of /metrics")->capture_default_str();
  app.add_option("--state", options.state, "Folder of jobs and logs, on a local disk; made if absent")->required();
  CLI::Option* certs_option = app.add_option("--certs", certs, "Folder with ca.pem, cert.pem and key.pem");
  app.add_flag("--insecure", options.security.insecure, "No TLS, loopback only")->excludes(certs_option);
  app.add_option("--data", options.data_addresses, "HOST:PORT of a data server; may be given again")->required();
  app.add_option("--port-file", port_file, "Written once it listens: {\"port\":…, \"metrics_port\":…}");
  app.add_option("--log-level", log_level, "trace, debug, info, warning, error")->capture_default_str();
  app.add_option("--log-format", log_format, "text, or json: one object a line")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? muster::kExitSucceeded : muster::kExitUsage;
  }
  if (certs.empty() && !options.security.insecure) {
    return Fail(absl::InvalidArgumentError("--certs: name the folder of certificates, or ask for --insecure"));
  }
  options.security.certificates = certs;
  muster::InitLog("muster-coordinator", log_level, muster::LogFormatFrom(log_format));
  muster::RouteGrpcLogs();

  // Blocked before any thread starts, so that only sigwait below takes them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  absl::StatusOr<std::unique_ptr<muster::Coordinator>> coordinator = muster::Coordinator::Start(options);
  if (!coordinator.ok()) return Fail(coordinator.status());
  spdlog::info("listens on port {}, metrics on port {}", (*coordinator)->port(), (*coordinator)->metrics_port());
  if (!port_file.empty()) {
    const absl::Status written = muster::WriteFileAtomically(
        port_file, absl::StrCat("{\"port\":", (*coordinator)->port(),
                                ",\"metrics_port\":", (*coordinator)->metrics_port(), "}\n"));
    if (!written.ok()) return Fail(written);
  }
  int signal_number = 0;
  sigwait(&signals, &signal_number);
  spdlog::info("shuts down; running jobs are not touched");
  (*coordinator)->Shutdown();
  return muster::kExitSucceeded;
}
