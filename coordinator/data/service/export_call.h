// DataService.ExportDataset: a dataset as files, streamed.
#pragma once

#include <grpcpp/support/sync_stream.h>

#include "absl/status/status.h"
#include "coordinator/data/service/call.h"
#include "muster/v1/data.pb.h"

namespace muster {

// Writes as fast as the client reads. Notes in the call's metadata (common/rpc/metadata.h) report what the format cannot carry.
// INVALID_ARGUMENT for an unknown format; NOT_FOUND names the dataset.
absl::Status RunExport(const DataContext& data, grpc::ServerContext& call, const muster::v1::ExportDatasetRequest& request,
                       grpc::ServerWriter<muster::v1::ExportDatasetResponse>& writer);

}  // namespace muster
