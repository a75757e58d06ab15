// muster-coordinator: accepts jobs, places them on workers, and recovers them after failures.
#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/exit_code.h"
#include "common/files.h"
#include "common/flags/parse_flags.h"
#include "common/log.h"
#include "common/process/scheduling.h"
#include "common/process/stop_signals.h"
#include "common/rpc/grpc_setup.h"
#include "coordinator/runtime/coordinator.h"

namespace {

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "muster-coordinator: %s\n", std::string(status.message()).c_str());
  return status.code() == absl::StatusCode::kInvalidArgument ? muster::kExitUsage : muster::kExitJobFailed;
}

}  // namespace

int main(int argc, char** argv) {
  muster::WakeWithoutInterrupting();  // all threads but that of the event loop
  muster::Coordinator::Options options;
  options.health = "127.0.0.1:7080";
  double shutdown_grace = 5;
  std::string certs, port_file, log_level = "info", log_format = "text";
  CLI::App app{"Accepts training jobs, places them on workers, and recovers them after failures."};
  app.name("muster-coordinator");
  app.add_option("--listen", options.listen, "HOST:PORT of the services; port 0 picks a free one")->capture_default_str();
  app.add_option("--metrics", options.metrics, "HOST:PORT of /metrics")->capture_default_str();
  app.add_option("--health", options.health, "HOST:PORT of probes: grpc.health.v1 in plain text; empty: none")
      ->capture_default_str();
  app.add_option("--state", options.state, "Folder of jobs and logs, on a local disk; made if absent")->required();
  CLI::Option* certs_option = app.add_option("--certs", certs, "Folder with ca.pem, cert.pem and key.pem");
  app.add_option("--tokens", options.tokens, "File of tokens, made by `muster tokens`");
  app.add_option("--calls-per-second", options.limits.calls_per_second, "Calls per second of one user, in the long run; 0: no limit")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--streams", options.limits.streams, "Open streams of one user; 0: no limit")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--active-jobs", options.max_active_jobs, "Unfinished jobs of one user; 0: no limit")
      ->capture_default_str();
  app.add_flag("--insecure", options.security.insecure, "No TLS, loopback only")->excludes(certs_option);
  std::vector<std::string> data_addresses;
  app.add_option("--data", data_addresses, "HOST:PORT of the data server")->required();
  double no_progress_seconds = absl::ToDoubleSeconds(options.no_progress);
  app.add_option("--no-progress", no_progress_seconds,
                 "Seconds without progress after which an attempt ends; time in which the data server cannot be reached does "
                 "not count")
      ->check(CLI::Range(1.0, 24.0 * 3600))
      ->capture_default_str();
  double keep_ended_days = 90, collect_unused_hours = 24, collect_every_minutes = 60;
  app.add_option("--keep-ended-jobs", keep_ended_days, "Days that a job is remembered after its end; 0: forever")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--collect-unused", collect_unused_hours, "Hours to keep stored content that nothing refers to")
      ->check(CLI::Range(1.0, 24.0 * 365))
      ->capture_default_str();
  app.add_option("--collect-every", collect_every_minutes, "Minutes between two collections of garbage")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--port-file", port_file, "Written once it listens: {\"port\":…, \"metrics_port\":…, \"health_port\":…}");
  app.add_option("--shutdown-grace", shutdown_grace, "Seconds that running calls have after SIGTERM; a second one ends it at once")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  app.add_option("--log-level", log_level, "Minimum level of log lines")
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error"}))
      ->capture_default_str();
  app.add_option("--log-format", log_format, "text, or json: one object per line")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  if (const std::optional<int> code = muster::ParseFlags(app, argc, argv)) return *code;
  if (certs.empty() && !options.security.insecure) {
    return Fail(absl::InvalidArgumentError("--certs: name the folder of certificates, or give --insecure"));
  }
  if (options.security.insecure && !options.tokens.empty()) {
    return Fail(absl::InvalidArgumentError("--tokens: without TLS no token is read. Leave out one of --tokens and --insecure"));
  }
  options.data_address = absl::StrJoin(data_addresses, ",");  // several: refused, with the reason
  options.no_progress = absl::Seconds(no_progress_seconds);
  options.security.certificates = certs;
  options.keep_ended_jobs = keep_ended_days > 0 ? absl::Hours(24 * keep_ended_days) : absl::InfiniteDuration();
  options.collect_unused = absl::Hours(collect_unused_hours);
  options.collect_every = absl::Minutes(collect_every_minutes);
  muster::InitLog("muster-coordinator", log_level, muster::LogFormatFrom(log_format));
  muster::SetUpGrpc();

  muster::StopSignals signals;
  signal(SIGPIPE, SIG_IGN);

  absl::StatusOr<std::unique_ptr<muster::Coordinator>> coordinator = muster::Coordinator::Start(options);
  if (!coordinator.ok()) return Fail(coordinator.status());
  spdlog::info("listens on port {}, metrics on port {}, health on port {}", (*coordinator)->port(),
               (*coordinator)->metrics_port(), (*coordinator)->health_port());
  if (!port_file.empty()) {
    const absl::Status written = muster::WriteFileAtomically(
        port_file, absl::StrCat("{\"port\":", (*coordinator)->port(),
                                ",\"metrics_port\":", (*coordinator)->metrics_port(),
                                ",\"health_port\":", (*coordinator)->health_port(), "}\n"));
    if (!written.ok()) return Fail(written);
  }
  const int signal_number = signals.Wait();
  spdlog::info("signal {}: shutting down; running jobs are not affected", signal_number);
  signals.ExitOnNext(muster::kExitCancelled);
  (*coordinator)->Shutdown(absl::Seconds(shutdown_grace));
  return muster::kExitSucceeded;
}
