// DataPlaneService.PublishMined: what a mining job found becomes a dataset.
#pragma once

#include <grpcpp/support/sync_stream.h>

#include "absl/status/status.h"
#include "coordinator/data/service/call.h"
#include "muster/internal/v1/data_plane.pb.h"

namespace muster {

// Adds the negatives of the request's blob to the dataset in which they were found, as an import with `add` would, and
// gives the result the name mine.out. Reports progress while it does. The second call of a job gets the first one's answer,
// whatever its blob holds: the attempt that came before was published.
//
// ALREADY_EXISTS (DATASET_EXISTS): the name was given away since the job was submitted. ABORTED (NAME_CHANGED): it is the
// mined dataset's own name, and that changed. PERMISSION_DENIED (NOT_OWNER). INVALID_ARGUMENT: the blob does not fit the
// dataset. FAILED_PRECONDITION (STALE_ATTEMPT).
absl::Status RunPublishMined(const DataContext& data, const grpc::ServerContext& call,
                             const muster::internal::v1::PublishMinedRequest& request,
                             grpc::ServerWriter<muster::internal::v1::PublishMinedResponse>& writer);

}  // namespace muster
