#include "worker/rank/link/restore.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace muster {
namespace {

using muster::v1::CheckpointInfo;
using muster::v1::FileManifest;

// Whether the blob store, or the check of the bytes that it sent, reports that a blob is missing or has other bytes. A
// missing file of this host is NOT_FOUND, too, but without this reason.
bool IsLost(const absl::Status& status) {
  return absl::IsDataLoss(status) || (absl::IsNotFound(status) && ReasonOf(status) == "BLOB_NOT_FOUND");
}

absl::Status FetchOnce(const CheckpointInfo& checkpoint, BlobClient& blobs, const std::filesystem::path& folder,
                       const BlobClient::Progress& progress) {
  ASSIGN_OR_RETURN(const FileManifest manifest, blobs.GetManifest(checkpoint.manifest()));
  for (const std::string& required : RequiredCheckpointFiles()) {
    const auto named = [&](const muster::v1::FileEntry& file) { return file.path() == required; };
    if (std::none_of(manifest.files().begin(), manifest.files().end(), named)) {
      return absl::DataLossError(absl::StrCat("its manifest does not name ", required));
    }
  }
  return blobs.GetFolder(manifest, folder, progress);
}

// Fetches a second time, because bytes may also change in transit.
absl::Status Fetch(const CheckpointInfo& checkpoint, BlobClient& blobs, const std::filesystem::path& folder,
                   const BlobClient::Progress& progress) {
  const absl::Status first = FetchOnce(checkpoint, blobs, folder, progress);
  if (!IsLost(first)) return first;
  const absl::Status second = FetchOnce(checkpoint, blobs, folder, progress);
  return IsLost(second) ? absl::DataLossError(first.message()) : second;
}

}  // namespace

absl::StatusOr<RestoredCheckpoint> RestoreStored(const CheckpointInfo& checkpoint, BlobClient& blobs,
                                                 const std::filesystem::path& scratch, const RestoreTarget& target,
                                                 const BlobClient::Progress& progress) {
  const std::filesystem::path folder = scratch / absl::StrCat("restore-", checkpoint.step());
  const absl::Cleanup remove = [&folder] {
    std::error_code ignored;  // the agent removes the scratch folder in any case
    std::filesystem::remove_all(folder, ignored);
  };
  absl::Status status = Fetch(checkpoint, blobs, folder, progress);
  if (status.ok()) {
    auto restored = RestoreCheckpoint(folder, target.spec_digest, target.encoder, target.optimizer);
    if (restored.ok()) {
      const std::string note =
          target.steps == nullptr ? "" : target.steps->ReadFrom(folder, restored->cursor.step);
      if (!note.empty()) spdlog::warn("the step log of the checkpoint of step {}: {}", checkpoint.step(), note);
      return restored;
    }
    status = restored.status();
  }
  if (absl::IsDataLoss(status)) return status;
  const std::string message = absl::StrCat("restoring the checkpoint of step ", checkpoint.step(), ": ", status.message());
  return absl::IsInvalidArgument(status) ? absl::InternalError(message) : absl::Status(status.code(), message);
}

}  // namespace muster
