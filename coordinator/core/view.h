// What users see: the durable state together with the soft state.
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

// Why the job is not placed: "needs 2 slots, 1 free". Empty: the record has the reason, or no plan has reached the job yet.
Reason WaitingReason(const JobRecord& record, const Soft& soft);
absl::Status NoSuchJob(absl::string_view id);  // NOT_FOUND
absl::StatusOr<muster::v1::Job> ViewJob(const State& state, const Soft& soft, const std::string& id);
muster::v1::Job ViewOf(const JobRecord& record, const Soft& soft);
muster::v1::StepMetrics StepMetricsOf(const muster::v1::Progress& progress, uint32_t attempt, absl::Time time);
muster::v1::JobSummary SummaryOf(const JobRecord& record, const Soft& soft);
absl::StatusOr<muster::v1::Worker> ViewWorker(const State& state, const Soft& soft, const std::string& name,
                                              absl::Time now);
std::vector<muster::v1::Worker> ViewWorkers(const State& state, const Soft& soft, absl::Time now);  // all workers
// Pages, by name. INVALID_ARGUMENT: the token is malformed.
absl::StatusOr<muster::v1::ListWorkersResponse> PageOfWorkers(const State& state, const Soft& soft,
                                                              const muster::v1::ListWorkersRequest& request, absl::Time now);
absl::StatusOr<muster::v1::ListQueuesResponse> PageOfQueues(const State& state,
                                                            const muster::v1::ListQueuesRequest& request);

}  // namespace muster
