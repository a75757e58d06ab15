#include "worker/rank/link/checkpoints.h"

#include <spdlog/spdlog.h>

#include "common/clock.h"
#include "common/rpc/errors.h"
#include "common/status.h"

namespace muster {

using muster::v1::CheckpointInfo;

CheckpointUploader::CheckpointUploader(BlobClient& blobs, uint32_t attempt, Done done)
    : blobs_(blobs), attempt_(attempt), done_(std::move(done)) {}

void CheckpointUploader::Wait() {
  if (thread_.joinable()) thread_.join();
}

void CheckpointUploader::Start(uint64_t step, const std::filesystem::path& folder, absl::Duration began) {
  Wait();
  thread_ = std::thread([this, step, folder, began] {
    auto checkpoint = Put(step, folder);
    std::error_code ignored;  // the agent removes the scratch folder in any case
    std::filesystem::remove_all(folder, ignored);
    if (checkpoint.ok()) {
      checkpoint->set_seconds(absl::ToDoubleSeconds(RealClock().Monotonic() - began));
      done_(*checkpoint);
    } else {
      spdlog::warn("the checkpoint of step {} was not stored: {}", step, std::string(checkpoint.status().message()));
    }
  });
}

absl::StatusOr<CheckpointInfo> CheckpointUploader::Put(uint64_t step, const std::filesystem::path& folder) {
  ASSIGN_OR_RETURN(const auto manifest, blobs_.PutFolder(folder));
  CheckpointInfo checkpoint;
  ASSIGN_OR_RETURN(*checkpoint.mutable_manifest(), blobs_.PutManifest(manifest));
  checkpoint.set_step(step);
  checkpoint.set_attempt(attempt_);
  checkpoint.mutable_time()->set_seconds(absl::ToUnixSeconds(RealClock().Now()));
  for (const auto& file : manifest.files()) checkpoint.set_bytes(checkpoint.bytes() + file.size());
  return checkpoint;
}

bool IsBrokenCheckpoint(const absl::Status& status) { return !status.ok() && !IsRetryable(status); }

}  // namespace muster
