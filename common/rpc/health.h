// Answers probes whether this process is alive, and whether it is ready. Serves grpc.health.v1.Health (Check and Watch) on a
// separate port, in plain text, because the kubelet has no certificate. Nothing else is served there.
//
//   service ""      ready: SERVING between SetReady(true) and SetReady(false)
//   service "live"  SERVING until the process has not called Beat for `live_within`; a process that is starting is
// alive
#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock.h"

namespace muster {

// Thread-safe.
class HealthServer {
 public:
  struct Options {
    std::string address;  // host:port, port 0 picks a free one; empty: nothing listens, and all calls are allowed
    absl::Duration live_within = absl::Seconds(15);
    const Clock* clock = &RealClock();
  };
  // At first it reports that the server is alive and not ready.
  static absl::StatusOr<std::unique_ptr<HealthServer>> Start(Options options);
  ~HealthServer();
  HealthServer(const HealthServer&) = delete;
  HealthServer& operator=(const HealthServer&) = delete;

  int port() const { return port_; }  // 0: nothing listens
  void SetReady(bool ready, const std::string& reason);  // a change is logged with its reason
  // Called by the work that must not stall (an iteration of an event loop, the answer to a probe), more often than once
  // per `live_within`; never by a thread that does nothing else.
  void Beat();

 private:
  explicit HealthServer(Options options) : options_(std::move(options)) {}
  void Look();  // a thread: sets "live" by the age of the last beat

  const Options options_;
  int port_ = 0;
  grpc::CallbackGenericService others_;  // UNIMPLEMENTED for all but health: a server without a service does not start
  std::unique_ptr<grpc::Server> server_;
  absl::Mutex mutex_;
  bool ready_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Duration> beat_ ABSL_GUARDED_BY(mutex_);
  std::thread look_;
};

// Asks the health service behind `channel`. True: SERVING.
absl::StatusOr<bool> CheckHealth(const std::shared_ptr<grpc::Channel>& channel, const std::string& service,
                                 absl::Duration within);

}  // namespace muster
