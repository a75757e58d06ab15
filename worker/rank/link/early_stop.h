// When evaluations are due, and when they end training before its last step (evaluate.early_stop). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "common/spec/stages.h"
#include "muster/internal/v1/worker.pb.h"
#include "muster/v1/job.pb.h"
#include "worker/rank/train/checkpoint.h"

namespace muster {

// How many evaluations a job has done once those of `step` are done.
uint64_t EvaluationsDue(const muster::v1::JobSpec& spec, uint64_t step, uint64_t total_steps);

// True once `patience` evaluations in a row, of the last stage, were not better than the best one before them. Earlier
// stages always take all their steps: without its last stage, a job would be a different recipe.
bool StopsEarly(const muster::v1::JobSpec& spec, std::span<const Stage> stages, const TrainingCursor& cursor);

// The report of a job that stopped early; empty if it took all its steps.
std::optional<muster::internal::v1::StoppedEarly> EarlyStopOf(const muster::v1::JobSpec& spec, std::span<const Stage> stages,
                                                              const TrainingCursor& cursor);

}  // namespace muster
