// Lists of jobs. A call visits a bounded number of jobs: of the indexes that fit its filter it walks the one with the
// fewest.
#pragma once

#include "absl/status/statusor.h"
#include "coordinator/core/soft.h"
#include "coordinator/core/state.h"
#include "muster/v1/job.pb.h"

namespace muster {

inline constexpr size_t kMostVisitedByList = 2000;  // jobs in one call

// INVALID_ARGUMENT: a token of something else, or of a list with another filter.
absl::StatusOr<muster::v1::ListJobsResponse> ViewJobs(const State& state, const Soft& soft,
                                                      const muster::v1::ListJobsRequest& request);

}  // namespace muster
