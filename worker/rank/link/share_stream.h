// This rank's shares of the training steps, read ahead of training from a data server.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "muster/internal/v1/data_plane.pb.h"

namespace grpc {
class Channel;
class ClientContext;
}  // namespace grpc

namespace muster {

// A thread reads ahead by `read_ahead_bytes` (one step at least). While the server cannot be reached, it retries from the step
// that it needs, with growing pauses and without a limit: an unreachable server is not a failure.
class ShareStream {
 public:
  struct Options {
    std::shared_ptr<grpc::Channel> server;
    muster::internal::v1::StreamRequest request;  // from_step: the first step that Next returns
    uint64_t total_steps = 0;
    uint64_t read_ahead_bytes = uint64_t{256} << 20;
  };
  static std::unique_ptr<ShareStream> Start(Options options);
  ~ShareStream();  // ends the call in progress and the thread

  // The next step's share; nothing if it has not arrived after `patience`. OUT_OF_RANGE after the last step. Other
  // errors are the server's, and are final; FAILED_PRECONDITION: the attempt is stale.
  absl::StatusOr<std::optional<muster::internal::v1::StepShare>> Next(absl::Duration patience);

 private:
  explicit ShareStream(Options options);
  void Read();
  absl::Status ReadOnce(uint64_t& next);
  bool Push(muster::internal::v1::StepShare share);

  const Options options_;
  absl::Mutex mutex_;
  std::deque<muster::internal::v1::StepShare> ready_ ABSL_GUARDED_BY(mutex_);
  uint64_t ready_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status end_ ABSL_GUARDED_BY(mutex_);  // why no more shares follow those in `ready_`
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* call_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::thread thread_;
};

}  // namespace muster
