// This rank's batches: reads them from the data server, decodes them, and uploads them one step ahead of training.
#pragma once

#include <memory>
#include <optional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "worker/rank/device/streams.h"
#include "worker/rank/link/share_stream.h"
#include "worker/rank/train/batch.h"

namespace muster {

// A thread decodes the next step's share during training, and then waits until it is taken. So at most one batch exists besides
// the one in training, with at most 8 bytes per token and 8 per edge. An error of a share is returned when its step is asked
// for, not earlier.
class BatchSource {
 public:
  struct Options {
    std::unique_ptr<ShareStream> shares;
    EncoderConfig config;
    at::Device device = at::kCPU;
    std::shared_ptr<Streams> streams;  // of the device
  };
  struct Step {
    muster::internal::v1::StepShare share;  // without its micro-batches, which the batch holds
    StepBatch batch;
  };
  static std::unique_ptr<BatchSource> Start(Options options);
  ~BatchSource();  // ends the call in progress and the thread

  // The next step; nothing if it has not arrived after `patience`. Errors are those of ShareStream::Next and
  // HostBatchFromShare, and are final.
  absl::StatusOr<std::optional<Step>> Next(absl::Duration patience);

 private:
  explicit BatchSource(Options options) : options_(std::move(options)) {}
  void Run();
  absl::StatusOr<Step> Make(muster::internal::v1::StepShare share);
  bool Stopped();

  Options options_;
  absl::Mutex mutex_;
  std::optional<absl::StatusOr<Step>> ready_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace muster
