// What people see: durable state with the soft state laid over it.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/core/soft.h"
#include "coordinator/core/state.h"
#include "muster/v1/cluster.pb.h"
#include "muster/v1/job.pb.h"

namespace muster {

// Why the job is not placed: "needs 2 slots, 1 free". Empty: its record says, or no plan has come to it yet.
std::string WaitingReason(const JobRecord& record, const Soft& soft);
// NOT_FOUND names the id.
absl::StatusOr<muster::v1::Job> ViewJob(const State& state, const Soft& soft, const std::string& id);
// Newest first, after `token` (empty: from the newest). INVALID_ARGUMENT: a token of something else.
absl::StatusOr<muster::v1::ListJobsResponse> ViewJobs(const State& state, const Soft& soft,
                                                      const muster::v1::ListJobsRequest& request);
absl::StatusOr<muster::v1::Worker> ViewWorker(const State& state, const Soft& soft, const std::string& name,
                                              absl::Time now);
std::vector<muster::v1::Worker> ViewWorkers(const State& state, const Soft& soft, absl::Time now);
std::vector<muster::v1::QueueInfo> ViewQueues(const State& state);

}  // namespace muster
