// A mining job's work: from the data server's split to the dataset with the mined negatives.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/rpc/blobs.h"
#include "worker/rank/link/evaluation_run.h"

namespace muster {

// Called by all ranks together; rank 0 stores what was mined and has the data server publish it. Returns a human-readable
// summary, equal on all ranks. INVALID_ARGUMENT also: the data server gives the dataset's name to somebody else by now.
absl::StatusOr<std::string> RunMining(const EvaluationContext& context, BlobClient& blobs);

}  // namespace muster
