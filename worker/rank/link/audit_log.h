// Which queries a rank has taken into which step: for tests/e2e/audit.py, which folds the logs of all ranks and attempts
// and shows that every query had its effect exactly once per epoch.
//
// FOLDER/JOB-aATTEMPT-rRANK.audit: "muster-audit 1 JOB ATTEMPT RANK WORLD_SIZE", then a line for each step done:
// its number from 1, its epoch from 0, and the digests of the rank's rows in hexadecimal.
#pragma once

#include <filesystem>

#include "absl/status/status.h"
#include "muster/rank/v1/rank.pb.h"
#include "worker/rank/train/batch.h"

namespace muster {

// Not thread-safe. Without a folder in the configuration nothing is written.
class AuditLog {
 public:
  explicit AuditLog(const muster::rank::v1::RankConfig& config);

  // Call it after the step's update and before its checkpoint, so that no checkpoint is ahead of the logs. Each
  // call is one write to the file: a process that is killed loses no line.
  absl::Status Append(const StepBatch& batch);

 private:
  absl::Status Write(std::string_view text);

  std::filesystem::path file_;  // empty: off
  std::string header_;          // until it has been written
};

}  // namespace muster
