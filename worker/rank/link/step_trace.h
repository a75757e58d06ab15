// The trace of an attempt's steps, which rank 0 records and stores with the job's checkpoints.
#pragma once

#include <cstdint>
#include <filesystem>

#include "absl/status/status.h"
#include "common/rpc/blobs.h"
#include "muster/rank/v1/rank.pb.h"
#include "worker/rank/link/agent_pipe.h"
#include "worker/rank/train/trace_recorder.h"

namespace muster {

// Only for the training thread. Errors of a trace are logged and do not stop training. Other ranks record nothing.
class StepTrace {
 public:
  // `steps_left`: the attempt's remaining steps. All arguments must outlive it.
  StepTrace(const muster::rank::v1::RankConfig& config, uint64_t steps_left, bool gpu, BlobClient& blobs, AgentPipe& agent);

  // Call these before and after each step. `last`: the last step of the attempt.
  void BeforeStep() { recorder_.BeforeStep(); }
  void AfterStep(bool last);

 private:
  absl::Status Store();

  const muster::rank::v1::RankConfig& config_;
  const std::filesystem::path folder_;
  BlobClient& blobs_;
  AgentPipe& agent_;
  TraceRecorder recorder_;
};

}  // namespace muster
