// Checkpoints between this rank and the blob store.
#pragma once

#include <filesystem>
#include <functional>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/blobs.h"
#include "muster/v1/job.pb.h"

namespace muster {

// Puts written checkpoint folders, one at a time, while training goes on. Not thread-safe.
class CheckpointUploader {
 public:
  using Done = std::function<void(const muster::v1::CheckpointInfo& checkpoint)>;
  // `done` is called from the uploader's thread, once a checkpoint is whole at the store. `blobs` must outlive it.
  CheckpointUploader(BlobClient& blobs, uint32_t attempt, Done done);
  ~CheckpointUploader() { Wait(); }

  // Waits for the one before, then begins to put `folder`, which is removed afterwards. A checkpoint that cannot be
  // put is logged and left out: training goes on, and the next one is tried. `began`: when the checkpoint did, on
  // RealClock().Monotonic().
  void Start(uint64_t step, const std::filesystem::path& folder, absl::Duration began);
  void Wait();

 private:
  absl::StatusOr<muster::v1::CheckpointInfo> Put(uint64_t step, const std::filesystem::path& folder);

  BlobClient& blobs_;
  const uint32_t attempt_;
  const Done done_;
  std::thread thread_;
};

// Whether trying an older checkpoint is right: this one is broken or gone, not merely out of reach.
bool IsBrokenCheckpoint(const absl::Status& status);

}  // namespace muster
