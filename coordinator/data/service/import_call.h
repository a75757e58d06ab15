// DataService.ImportDataset: a stream of files in, progress and a report out.
#pragma once

#include <grpcpp/support/sync_stream.h>

#include "absl/status/status.h"
#include "coordinator/data/service/call.h"
#include "muster/v1/data.pb.h"

namespace muster {

using ImportStream = grpc::ServerReaderWriter<muster::v1::ImportDatasetResponse, muster::v1::ImportDatasetRequest>;

// A failed or broken import leaves nothing behind.
absl::Status RunImport(const DataContext& data, AdmittedCall& admitted, const grpc::ServerContext& call,
                       ImportStream& stream);

}  // namespace muster
