#include "worker/rank/link/evaluation_run.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/retrieval/metrics.h"
#include "common/status.h"
#include "worker/rank/evaluate/evaluator.h"
#include "worker/rank/link/evaluation_stream.h"
#include "worker/rank/link/rank_setup.h"

namespace muster {

using muster::rank::v1::RankMessage;
using muster::v1::Evaluation;

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
                           .query_values = task.query_values};
  if (spec.has_evaluate()) options.metrics.push_back(spec.evaluate().metric());
  ASSIGN_OR_RETURN(Evaluation result, Evaluate(context.encoder, context.group, std::move(source), options));
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
