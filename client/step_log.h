// Reads a job's step log: with all steps if its model is exported, otherwise from its newest checkpoint.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/rpc/blobs.h"
#include "muster/v1/job.grpc.pb.h"

namespace muster {

// CSV of all steps, or up to the newest checkpoint's (docs/reference/data-schemas.md). FAILED_PRECONDITION: the job has no
// checkpoint, or takes no step. NOT_FOUND: a newer checkpoint has replaced this one since `job` was read.
absl::StatusOr<std::string> FetchStepLog(BlobClient& blobs, const muster::v1::Job& job);

// The same for the job that `given` names (client/find_job.h), read again where a newer checkpoint has replaced the one that
// it had.
absl::StatusOr<std::string> FetchStepLog(muster::v1::JobService::Stub& jobs, BlobClient& blobs, const std::string& given);

}  // namespace muster
