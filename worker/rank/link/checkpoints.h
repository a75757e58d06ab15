// Stores checkpoints while training continues.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/blobs.h"
#include "muster/v1/job.pb.h"
#include "worker/rank/collective/group.h"
#include "worker/rank/train/checkpoint.h"
#include "worker/rank/train/step_log.h"

namespace muster {

// One checkpoint at a time: the caller stops while the tensors are copied. A thread then writes the copy to scratch, puts
// it into the blob store, and reports it. Owned and called only by the training thread.
class CheckpointWriter {
 public:
  struct Options {
    uint32_t attempt = 0;
    std::filesystem::path scratch;
    // Called from the writer's thread when a checkpoint is completely stored.
    std::function<void(const muster::v1::CheckpointInfo& checkpoint)> stored;
  };
  struct Source {
    const Encoder& encoder;
    const AdamW& optimizer;
    const TrainingCursor& cursor;
    const std::vector<Parameter>& best;
    const StepLog& steps;
  };
  // `blobs` must outlive it.
  CheckpointWriter(BlobClient& blobs, Options options);
  ~CheckpointWriter();

  // Makes the writer's thread prepare the memory of the copies. Without it the first Start takes about five times as
  // long.
  void Prepare(const Encoder& encoder, const AdamW& optimizer);
  // Whether a checkpoint is still being stored.
  bool Busy() const { return busy_; }
  // Copies the source and begins to store it; waits for the previous checkpoint first, if Busy. A checkpoint that cannot be
  // stored is logged and skipped: training continues, and the next one is tried. `began`: when the checkpoint began, by
  // RealClock().Monotonic(). The step log must outlive it.
  void Start(const Source& source, absl::Duration began);
  // Waits until the checkpoint that was started last is stored. Returns its error if it could not be stored.
  absl::Status Wait();

 private:
  absl::Status Store(const StepLog& steps, uint64_t log_size, absl::Duration began, double stopped);

  BlobClient& blobs_;
  const Options options_;
  CheckpointCopy copy_;  // the writer's thread reads it while busy_
  uint64_t step_ = 0;
  std::atomic<bool> busy_ = false;
  absl::Status last_;  // written by the thread; read after it has been joined
  std::thread thread_;
};

// INTERNAL with reason RANKS_DISAGREE, on all ranks, if they do not hold the same parameters after `step` steps. Called by all of
// them together.
absl::Status CompareParameters(Group& group, const Encoder& encoder, uint64_t step);

}  // namespace muster
