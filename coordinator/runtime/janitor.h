// Removes what nothing needs: records and logs of jobs that ended long ago, and everything in the data server that
// neither a name nor a job refers to. Runs in a separate thread, periodically and on request.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/recent_map.h"
#include "common/rpc/operations.h"
#include "coordinator/service/backend.h"
#include "coordinator/service/collected_garbage.h"
#include "coordinator/service/log_store.h"
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
    Operations* operations = nullptr;
    std::vector<std::shared_ptr<grpc::Channel>> data_servers;
    LogStore* logs = nullptr;
    absl::Duration every = absl::Hours(1);
    absl::Duration unused = absl::Hours(24);  // content that was used within this time stays in any case
    absl::Duration keep_ended = absl::Hours(24 * 90);  // how long ended jobs are kept; infinite: forever
  };
  explicit Janitor(Options options) : options_(std::move(options)) {}
  ~Janitor() { Stop(); }

  void Start();
  void Stop();

  // Any thread; one call at a time. `user`: the caller. UNAVAILABLE while a data server is unreachable or a backup runs.
  // ABORTED (OPERATION_CANCELED): somebody canceled it; what was already removed stays removed. ALREADY_EXISTS
  // (REQUEST_ID_REUSED): the user has sent this request id with another body; with the same body the first answer is returned.
  absl::StatusOr<CollectedGarbage> Collect(const muster::v1::CollectGarbageRequest& request, const std::string& user)
      ABSL_LOCKS_EXCLUDED(collecting_);

 private:
  struct Answer {
    bool dry_run = false;
    CollectedGarbage collected;
  };
  void Run();
  void Interrupt() ABSL_LOCKS_EXCLUDED(mutex_);  // ends the call that is under way
  absl::Status CollectAll(bool dry_run, Operations::Handle& operation, CollectedGarbage& collected);
  absl::Status RetireJobs(bool dry_run, muster::v1::CollectGarbageResponse& response);
  absl::Status RemoveLogs(bool dry_run, muster::v1::CollectGarbageResponse& response);
  absl::Status Sweep(bool dry_run, CollectedGarbage& collected);

  const Options options_;
  absl::Mutex collecting_;
  RecentMap<std::string, Answer> answers_ ABSL_GUARDED_BY(collecting_){100};  // by "user/request id"
  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<grpc::ClientContext> call_ ABSL_GUARDED_BY(mutex_);  // the newest, so that Stop can end it
  std::thread thread_;
};

}  // namespace muster
