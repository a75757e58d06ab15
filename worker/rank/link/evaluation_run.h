// An evaluation of the model in training, from the data server's split to the message that reports it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

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

// What rank 0 keeps of a report, besides the means, to store it.
struct ReportResults {
  std::string query_values;   // the file of common/query_values_file.h
  std::filesystem::path run;  // the file of common/retrieval/stored_run.h; empty: report.run_depth is 0
  absl::Status run_status;    // whether that file could be written
};

// The evaluation to run.
struct EvaluationTask {
  static EvaluationTask Of(const muster::v1::EvaluateSpec& evaluate, std::string label, std::string digest) {
    return {.label = std::move(label),
            .dataset = evaluate.dataset(),
            .split = evaluate.split(),
            .digest = std::move(digest),
            .metrics = {},
            .ignore_identical_ids = evaluate.ignore_identical_ids()};
  }
  static EvaluationTask Of(const muster::v1::ReportSpec& report, std::string label, std::string digest) {
    return {.label = std::move(label),
            .dataset = report.dataset(),
            .split = report.split(),
            .digest = std::move(digest),
            .metrics = {report.metrics().begin(), report.metrics().end()},
            .ignore_identical_ids = report.ignore_identical_ids()};
  }
  std::string label, dataset, split, digest;  // digest: the resolved dataset's
  std::vector<std::string> metrics;           // besides the standard ones and evaluate.metric
  bool ignore_identical_ids = false;
  ReportResults* results = nullptr;  // of a report: rank 0 fills it; may be null
};

// Evaluates the model after `step` steps. Called by all ranks together; rank 0 logs the result and sends it to the agent.
absl::StatusOr<muster::v1::Evaluation> RunEvaluation(const EvaluationContext& context, const EvaluationTask& task, uint64_t step);

}  // namespace muster
