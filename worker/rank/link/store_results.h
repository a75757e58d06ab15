// What rank 0 stores next to a job's model: the step log, and the report's results by query.
#pragma once

#include <filesystem>
#include <string>

#include "absl/status/status.h"
#include "common/rpc/blobs.h"
#include "worker/rank/collective/group.h"
#include "worker/rank/link/agent_pipe.h"
#include "worker/rank/link/evaluation_run.h"
#include "worker/rank/train/step_log.h"

namespace muster {

// Stores the whole step log next to the checkpoints, as a separate folder, and returns its manifest's digest. The report's
// results are other files of that folder. Empty, with a warning, if the folder cannot be stored: a model is worth more than
// its log.
std::string StoredStepLog(const StepLog& steps, const ReportResults& results, const std::filesystem::path& scratch,
                          BlobClient& blobs);

// Ends a job that only evaluates; every rank calls it. Rank 0 stores and reports the results, which are what the job is for: if
// they cannot be stored, the attempt fails.
absl::Status StoreReport(const muster::rank::v1::RankConfig& config, const ReportResults& results, BlobClient& blobs,
                         AgentPipe& agent, Group& group);

}  // namespace muster
