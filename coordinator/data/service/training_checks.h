// What a job asks of its training sets, checked before any step: queries, negatives, a teacher's lists, label noise.
#pragma once

#include "absl/status/statusor.h"
#include "coordinator/data/plan/step_plan.h"
#include "coordinator/data/service/data_stores.h"
#include "muster/v1/job.pb.h"

namespace muster {

// `spec`: a job without stages, or the separate job that trains as one of the stages does, and then `of_stage` is true. `given`:
// the job before defaults were filled in. Errors are INVALID_ARGUMENT and begin with the field of the job.
absl::StatusOr<TrainingFacts> CheckTraining(const TrainingInputs& inputs, const muster::v1::JobSpec& spec,
                                            const muster::v1::JobSpec& given, bool of_stage);

}  // namespace muster
