// A real server (muster-coordinator, muster-data) in a separate process, without TLS.
#pragma once

#include <grpcpp/grpcpp.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/process/child_process.h"

namespace muster::bench {

class ServerProcess {
 public:
  struct Options {
    std::filesystem::path program;
    std::filesystem::path folder;  // made if absent: state/, its log, its ports
    std::vector<std::string> arguments;  // besides those of ports, state and limits
  };
  // The arguments of a coordinator whose data server listens at `data_address`.
  static std::vector<std::string> ArgumentsOfCoordinator(const std::string& data_address);

  explicit ServerProcess(Options options) : options_(std::move(options)) {}

  // Starts it on the ports that it had before, and waits until it is ready.
  absl::Status Start();
  void Kill();                    // SIGKILL
  std::string address() const;    // HOST:PORT
  std::shared_ptr<grpc::Channel> Channel() const;
  std::string health_address() const;  // the same after a kill and a start
  double CpuSeconds() const;      // that the process has used
  double ResidentMiB() const;
  void BeginPeak() const;         // resets PeakMiB to the present size
  double PeakMiB() const;         // the largest resident size
  absl::StatusOr<double> Metric(const std::string& line) const;  // value of the series with this name and labels

 private:
  const Options options_;
  std::optional<ChildProcess> child_;
  int port_ = 0, metrics_port_ = 0, health_port_ = 0;
};

}  // namespace muster::bench
