#include "worker/rank/link/early_stop.h"

namespace muster {

uint64_t EvaluationsDue(const muster::v1::JobSpec& spec, uint64_t step, uint64_t total_steps) {
  if (!spec.has_evaluate()) return 0;
  const uint64_t every = spec.evaluate().every_steps();
  return step / every + (step == total_steps && step % every != 0 ? 1 : 0);
}

bool StopsEarly(const muster::v1::JobSpec& spec, std::span<const Stage> stages, const TrainingCursor& cursor) {
  // At the last stage's beginning the count is still that of the previous stage.
  if (stages.size() > 1 && cursor.step <= stages.back().begin) return false;
  return spec.has_evaluate() && spec.evaluate().has_early_stop() &&
         cursor.evaluations_without_better >= spec.evaluate().early_stop().patience();
}

std::optional<muster::internal::v1::StoppedEarly> EarlyStopOf(const muster::v1::JobSpec& spec, std::span<const Stage> stages,
                                                              const TrainingCursor& cursor) {
  if (!StopsEarly(spec, stages, cursor) || cursor.step == stages.back().end) return std::nullopt;
  muster::internal::v1::StoppedEarly stopped;
  stopped.set_step(cursor.step);
  stopped.set_patience(spec.evaluate().early_stop().patience());
  stopped.set_metric(spec.evaluate().metric());
  stopped.set_best_step(cursor.best_step);
  stopped.set_best(cursor.best_metric.value_or(0));
  return stopped;
}

}  // namespace muster
