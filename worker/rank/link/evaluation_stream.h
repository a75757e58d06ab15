// A split's sequences for this rank, from a data server.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "muster/v1/data.pb.h"
#include "worker/rank/evaluate/evaluator.h"

namespace grpc {
class Channel;
}

namespace muster {

// When a server cannot be reached, it goes on at the next one where it stopped (the stream is a pure function of the
// request), for as long as it takes.
absl::StatusOr<EvaluationSource> OpenEvaluation(std::vector<std::shared_ptr<grpc::Channel>> servers,
                                                const muster::v1::StreamEvaluationRequest& request);

}  // namespace muster
