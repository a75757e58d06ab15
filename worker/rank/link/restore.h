// Fetches a stored checkpoint and continues from it.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "common/rpc/blobs.h"
#include "muster/v1/job.pb.h"
#include "worker/rank/train/checkpoint.h"
#include "worker/rank/train/step_log.h"

namespace muster {

struct RestoreTarget {
  std::string spec_digest;
  Encoder& encoder;
  AdamW& optimizer;
  StepLog* steps = nullptr;  // null: this rank keeps none
};

// DATA_LOSS if and only if the stored checkpoint is damaged: a blob is missing or does not match its digest, twice in a row, or
// a file does not parse or fit. Another try on any host would find the same. Every other error is a fault of this host, a
// server or a version, and may be temporary; its status is never INVALID_ARGUMENT.
absl::StatusOr<RestoredCheckpoint> RestoreStored(const muster::v1::CheckpointInfo& checkpoint, BlobClient& blobs,
                                                 const std::filesystem::path& scratch, const RestoreTarget& target,
                                                 const BlobClient::Progress& progress);

}  // namespace muster
