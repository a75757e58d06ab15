#include "worker/rank/link/evaluation_run.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/retrieval/metrics.h"
#include "common/retrieval/stored_run.h"
#include "common/status.h"
#include "worker/rank/evaluate/evaluator.h"
#include "worker/rank/link/evaluation_stream.h"
#include "worker/rank/link/rank_setup.h"

namespace muster {

using muster::rank::v1::RankMessage;
using muster::v1::Evaluation;

namespace {

// Rank 0's writer of the report's rankings, in its scratch folder; nothing: this evaluation stores none, or another rank does.
std::optional<StoredRunWriter> RankingsOf(const EvaluationContext& context, const EvaluationTask& task,
                                          EvaluatorOptions& options) {
  const uint32_t depth = context.config.spec().report().run_depth();
  if (depth == 0 || task.results == nullptr) return std::nullopt;
  options.ranked_depth = depth;
  // Ranks exchange the rankings of all queries that they search for at once. Longer rankings must not take more memory.
  const int64_t queries = options.queries_at_once;
  options.queries_at_once = std::clamp<int64_t>(queries * options.kept / depth, 1, queries);
  if (context.config.rank() != 0) return std::nullopt;
  task.results->run = std::filesystem::path(context.config.scratch()) / kStoredRunFile;
  return std::make_optional<StoredRunWriter>(task.results->run);
}

}  // namespace

absl::StatusOr<Evaluation> RunEvaluation(const EvaluationContext& context, const EvaluationTask& task, uint64_t step) {
  const absl::Duration start = context.clock.Monotonic();
  const std::string activity = absl::StrCat("evaluating (", task.label, ")");
  context.progress.Activity(activity);
  const muster::v1::JobSpec& spec = context.config.spec();
  muster::internal::v1::StreamEvaluationRequest request;
  *request.mutable_identity() = IdentityOf(context.config);
  *request.mutable_spec() = spec;
  *request.mutable_resolved() = context.config.resolved();
  request.set_dataset(task.digest);
  request.set_split(task.split);
  ASSIGN_OR_RETURN(EvaluationSource source, OpenEvaluation(context.data, request, context.watch));
  EvaluatorOptions options{.metrics = StandardMetrics(),
                           .ignore_identical_ids = task.ignore_identical_ids,
                           .tokenizer = context.tokenizer,
                           .progress = [&](double done) { context.progress.Activity(activity, done); },
                           .query_values = task.results == nullptr ? nullptr : &task.results->query_values};
  if (spec.has_evaluate()) options.metrics.push_back(spec.evaluate().metric());
  options.metrics.insert(options.metrics.end(), task.metrics.begin(), task.metrics.end());
  std::optional<StoredRunWriter> rankings = RankingsOf(context, task, options);
  if (rankings.has_value()) {
    options.ranked = [&rankings](uint32_t query, std::span<const uint32_t> documents, std::span<const float> scores) {
      rankings->Add(query, documents, scores);
    };
  }
  ASSIGN_OR_RETURN(Evaluation result, Evaluate(context.encoder, context.group, std::move(source), options));
  if (rankings.has_value()) task.results->run_status = rankings->Finish();
  result.set_label(task.label);
  result.set_step(step);
  result.set_dataset(task.dataset);
  result.set_split(task.split);
  result.set_seconds(absl::ToDoubleSeconds(context.clock.Monotonic() - start));
  if (context.config.rank() == 0) {
    spdlog::info("{} on {} {}: ndcg@10 {:.4f}, mrr {:.4f}, recall@100 {:.4f} ({:.1f} s)", task.label, task.dataset,
                 task.split, result.metrics().at("ndcg@10"), result.metrics().at("mrr"), result.metrics().at("recall@100"),
                 result.seconds());
    RankMessage message;
    *message.mutable_evaluation() = result;
    RETURN_IF_ERROR(context.agent.Send(message));
  }
  return result;
}

}  // namespace muster
