// A split's sequences for this rank, from the data server.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "common/rpc/reachability.h"
#include "muster/internal/v1/data_plane.pb.h"
#include "worker/rank/evaluate/evaluator.h"

namespace grpc {
class Channel;
}

namespace muster {

// A broken stream continues where it stopped (it is a pure function of the request), for as long as it takes. `watch`
// must outlive the source; null: an unreachable server is not reported.
absl::StatusOr<EvaluationSource> OpenEvaluation(std::shared_ptr<grpc::Channel> server,
                                                const muster::internal::v1::StreamEvaluationRequest& request,
                                                ReachabilityWatch* watch = nullptr);

}  // namespace muster
