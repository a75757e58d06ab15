// Removes what nothing needs: records and logs of jobs that ended long ago, and everything in the data server that
// neither a name nor a job refers to. On a thread of its own, periodically and on request.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "coordinator/service/backend.h"
#include "muster/v1/garbage.pb.h"

namespace grpc {
class Channel;
class ClientContext;
}  // namespace grpc

namespace muster {

class Janitor {
 public:
  struct Options {
    Backend* backend = nullptr;
    std::vector<std::shared_ptr<grpc::Channel>> data_servers;
    std::filesystem::path logs;  // one folder per job
    absl::Duration every = absl::Hours(1);
    absl::Duration unused = absl::Hours(24);  // content that was used within this time stays in any case
    absl::Duration keep_ended = absl::Hours(24 * 90);  // jobs, after their end; infinite: for ever
  };
  explicit Janitor(Options options) : options_(std::move(options)) {}
  ~Janitor() { Stop(); }

  void Start();
  void Stop();

  // Any thread; one call at a time. `dry_run`: lists what would be removed. UNAVAILABLE while a data server is away or
  // a backup runs.
  absl::StatusOr<muster::v1::CollectGarbageResponse> Collect(bool dry_run) ABSL_LOCKS_EXCLUDED(collecting_);

 private:
  void Run();
  absl::Status RetireJobs(bool dry_run, muster::v1::CollectGarbageResponse& response);
  absl::Status RemoveLogs(bool dry_run, muster::v1::CollectGarbageResponse& response);
  absl::Status Sweep(bool dry_run, muster::v1::CollectGarbageResponse& response);

  const Options options_;
  absl::Mutex collecting_;
  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<grpc::ClientContext> call_ ABSL_GUARDED_BY(mutex_);  // the newest, so that Stop can end it
  std::thread thread_;
};

}  // namespace muster
