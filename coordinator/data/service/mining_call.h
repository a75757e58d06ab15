// DataPlaneService.PublishMined: makes a dataset of the negatives that a mining job found.
#pragma once

#include <grpcpp/support/sync_stream.h>

#include "absl/status/status.h"
#include "coordinator/data/service/call.h"
#include "muster/internal/v1/data_plane.pb.h"

namespace muster {

// Adds the negatives in the request's blob to the dataset in which they were found, as `muster data add` would, and names
// the result mine.out. Reports progress meanwhile. If an earlier attempt of the job has published already, the call returns
// that result and ignores its own blob.
//
// ALREADY_EXISTS (DATASET_EXISTS): somebody took the name mine.out after the job was submitted. ABORTED (NAME_CHANGED):
// mine.out is the searched dataset's own name, which got other content meanwhile. PERMISSION_DENIED (NOT_OWNER).
// INVALID_ARGUMENT: the blob belongs to another dataset or split. FAILED_PRECONDITION (STALE_ATTEMPT).
absl::Status RunPublishMined(const DataContext& data, const grpc::ServerContext& call,
                             const muster::internal::v1::PublishMinedRequest& request,
                             grpc::ServerWriter<muster::internal::v1::PublishMinedResponse>& writer);

}  // namespace muster
