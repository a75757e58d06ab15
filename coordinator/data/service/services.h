// The gRPC services of the data server. Handlers check the caller and pass the request on.
#pragma once

#include <grpcpp/impl/service_type.h>

#include <memory>

#include "common/rpc/backup_service.h"
#include "coordinator/data/service/call.h"

namespace muster {

std::unique_ptr<grpc::Service> MakeDataService(DataContext context);
std::unique_ptr<grpc::Service> MakeDataPlaneService(DataContext context);  // for coordinators and ranks
std::unique_ptr<grpc::Service> MakeBlobService(DataContext context);
std::unique_ptr<grpc::Service> MakeModelService(DataContext context);

// Lists the content of a backup of the data server: names, datasets and blobs. Token stores are left out, because they can be
// made again.
BackupSource DataBackup(DataStores& stores);

}  // namespace muster
