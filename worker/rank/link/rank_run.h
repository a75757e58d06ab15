// Runs one rank of one attempt, from its configuration to its result.
//
//   connect → join the group → load the model → restore the newest checkpoint that is not damaged → Started
//     → a job that mines: mine, publish, end
//     → from step 0: evaluate the untrained model on the report split
//     → a job that only evaluates: store the results by query, end
//     → steps, with evaluations, early stop and checkpoints between them
//     → the best parameters (or the last) → evaluate on the report split → export
#pragma once

#include <atomic>

#include "common/clock.h"
#include "muster/rank/v1/rank.pb.h"
#include "worker/rank/link/agent_pipe.h"
#include "worker/rank/train/stop_request.h"

namespace muster {

// `stop` is set when the rank is asked to stop: it finishes the step in progress, and with kSave the checkpoint of that
// step is completely stored before any rank of the attempt ends. Returns the last message of the
// rank; it has not been sent yet.
muster::rank::v1::RankResult RunRank(const muster::rank::v1::RankConfig& config, AgentPipe& agent, const Clock& clock,
                                     const std::atomic<StopRequest>& stop);

}  // namespace muster
