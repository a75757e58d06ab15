// An evaluation of the model in training, from the data server's split to the message that reports it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/clock.h"
#include "common/rpc/reachability.h"
#include "muster/rank/v1/rank.pb.h"
#include "muster/v1/job.pb.h"
#include "worker/rank/collective/group.h"
#include "worker/rank/link/agent_pipe.h"
#include "worker/rank/link/progress.h"
#include "worker/rank/model/encoder.h"

namespace grpc {
class Channel;
}

namespace muster {

// Shared by all evaluations of a rank. All members must outlive the calls.
struct EvaluationContext {
  const muster::rank::v1::RankConfig& config;
  const Encoder& encoder;
  Group& group;
  const std::filesystem::path& tokenizer;
  std::shared_ptr<grpc::Channel> data;
  ReachabilityWatch* watch;
  ProgressReporter& progress;
  AgentPipe& agent;
  const Clock& clock;
};

// The evaluation to run: a specification's evaluate or report.
struct EvaluationTask {
  template <typename Section>
  static EvaluationTask Of(const Section& section, std::string label, std::string digest) {
    return {std::move(label), section.dataset(), section.split(), std::move(digest), section.ignore_identical_ids()};
  }
  std::string label, dataset, split, digest;  // digest: the resolved dataset's
  bool ignore_identical_ids = false;
  std::string* query_values = nullptr;  // of rank 0, as in EvaluatorOptions; may be null
};

// Evaluates the model after `step` steps. Called by all ranks together; rank 0 logs the result and sends it to the agent.
absl::StatusOr<muster::v1::Evaluation> RunEvaluation(const EvaluationContext& context, const EvaluationTask& task, uint64_t step);

}  // namespace muster
