// Resolves `model.from: job:ID` and `job:ID@STEP`.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/core/state.h"

namespace muster {

inline constexpr int kMostLinks = 16;  // checkpoints of checkpoints

struct ModelSource {
  // Digest of the FileManifest of the job's export or, with a checkpoint, of the folder from which the chain's first job
  // trained (empty: a preset).
  std::string manifest;
  std::optional<muster::v1::ModelCheckpoint> checkpoint;
};

// `from` names a job. Errors begin with "model.from: ". FAILED_PRECONDITION: the job has no export, or no checkpoint of
// this step; the message names the existing steps, and what to do.
absl::StatusOr<ModelSource> SourceOfModel(const State& state, const std::string& from);

// Checks that the checkpoint was not removed since it was resolved. OK: from now on it is also kept for the new job.
absl::Status CheckStillKept(const State& state, const muster::v1::ResolvedJob& resolved);

}  // namespace muster
