// A real coordinator in a separate process, without TLS, and a stand-in for the data server.
#pragma once

#include <grpcpp/grpcpp.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/process/child_process.h"

namespace muster::bench {

class StandInData;

class CoordinatorProcess {
 public:
  // `program`: the path of muster-coordinator. The folder is created if absent.
  static absl::StatusOr<std::unique_ptr<CoordinatorProcess>> Create(const std::filesystem::path& program,
                                                                    const std::filesystem::path& folder);
  ~CoordinatorProcess();

  // Starts it on the port that it had before, and waits until it listens.
  absl::Status Start();
  void Kill();                    // SIGKILL
  std::string address() const;    // HOST:PORT
  std::shared_ptr<grpc::Channel> Channel() const;
  double CpuSeconds() const;      // that the process has used
  double ResidentMiB() const;
  absl::StatusOr<double> Metric(const std::string& line) const;  // value of the series with this name and labels

 private:
  CoordinatorProcess() = default;
  std::filesystem::path program_, folder_;
  std::unique_ptr<StandInData> data_;
  std::optional<ChildProcess> child_;
  int port_ = 0, metrics_port_ = 0;
};

}  // namespace muster::bench
