// DataPlaneService.Stream and StreamEvaluation: a rank's shares, sent before it needs them.
#pragma once

#include <grpcpp/support/sync_stream.h>

#include "absl/status/status.h"
#include "coordinator/data/service/call.h"
#include "muster/internal/v1/data_plane.pb.h"

namespace muster {

// Both end at once when the client cancels, when a newer attempt of the job asks, and when the server shuts down.
absl::Status RunStream(const DataContext& data, const grpc::ServerContext& call,
                       const muster::internal::v1::StreamRequest& request,
                       grpc::ServerWriter<muster::internal::v1::StepShare>& writer);
absl::Status RunStreamEvaluation(const DataContext& data, const grpc::ServerContext& call,
                                 const muster::internal::v1::StreamEvaluationRequest& request,
                                 grpc::ServerWriter<muster::internal::v1::StreamEvaluationResponse>& writer);

}  // namespace muster
