// Lists of jobs. A call visits a bounded number of jobs: it walks the shortest index that fits its
// filter.
#pragma once

#include "absl/status/statusor.h"
#include "coordinator/core/soft.h"
#include "coordinator/core/state.h"
#include "muster/v1/job.pb.h"

namespace muster {

inline constexpr size_t kMostVisitedByList = 2000;  // jobs in one call

// INVALID_ARGUMENT: the token is malformed, or belongs to a list with another filter.
absl::StatusOr<muster::v1::ListJobsResponse> ViewJobs(const State& state, const Soft& soft,
                                                      const muster::v1::ListJobsRequest& request);

}  // namespace muster
