// OperationService of a server, over its Operations.
#pragma once

#include <grpcpp/impl/service_type.h>

#include <memory>

#include "common/rpc/access/admission.h"
#include "common/rpc/operations.h"

namespace muster {

std::unique_ptr<grpc::Service> MakeOperationService(Operations& operations, Admission& admission);  // both must outlive it

}  // namespace muster
