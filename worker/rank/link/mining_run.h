// Runs a mining job on a rank: reads the split from the data server, mines, and publishes the dataset with the negatives.
#pragma once

#include <atomic>
#include <string>

#include "absl/status/statusor.h"
#include "common/rpc/blobs.h"
#include "worker/rank/link/evaluation_run.h"
#include "worker/rank/train/stop_request.h"

namespace muster {

// All ranks call it together; rank 0 stores the negatives and makes the data server publish them. Returns a human-readable
// summary, the same on all ranks. Also INVALID_ARGUMENT if somebody else took the dataset's name in the meantime, and CANCELLED
// if the rank is asked to stop before the dataset is published: a canceled job makes no dataset.
absl::StatusOr<std::string> RunMining(const EvaluationContext& context, BlobClient& blobs,
                                      const std::atomic<StopRequest>& stop);

}  // namespace muster
