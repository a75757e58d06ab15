// Resolves the names in a job's specification to datasets, splits, model and tokenizer, and computes the number of
// steps.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/data/service/data_stores.h"
#include "muster/internal/v1/data_plane.pb.h"

namespace muster {

struct Resolution {
  muster::v1::ResolvedJob resolved;
  std::vector<std::string> notes;  // for the submitter: the job can run, but perhaps not as intended
};

// The specification has its defaults filled in and passed ValidateJobSpec; `given` is the specification before that, so
// that a note can distinguish a field that was left out from one that was set to its default. Errors are
// INVALID_ARGUMENT or NOT_FOUND, "field.path: what is wrong. What exists."
absl::StatusOr<Resolution> ResolveJob(DataStores& stores, const muster::internal::v1::ResolveRequest& request,
                                      const muster::v1::JobSpec& given);

}  // namespace muster
