// What the names in a job's specification mean now: datasets, splits, model and tokenizer, and the number of steps.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/data/service/data_stores.h"
#include "muster/v1/data.pb.h"

namespace muster {

struct Resolution {
  muster::v1::ResolvedJob resolved;
  std::vector<std::string> notes;  // for whoever submits: the job can run, but perhaps not as meant
};

// The specification has its defaults filled in and passed ValidateJobSpec; `given` is what came before that: a
// note is about data.negatives.per_query left out, not about one chosen. Errors are INVALID_ARGUMENT or NOT_FOUND,
// "field.path: what is wrong. What exists."
absl::StatusOr<Resolution> ResolveJob(DataStores& stores, const muster::v1::ResolveRequest& request,
                                      const muster::v1::JobSpec& given);

}  // namespace muster
