// Follows a job to its end, across restarts of the coordinator.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/output.h"
#include "client/progress.h"
#include "muster/v1/job.pb.h"

namespace muster {

struct WatchOptions {
  absl::Duration patience = absl::Seconds(60);  // for a coordinator that does not answer
  absl::Duration timeout = absl::InfiniteDuration();  // for the job's end; DEADLINE_EXCEEDED afterwards
};

// Returns the job in its last phase. Prints what happens on `printer`.
absl::StatusOr<muster::v1::Job> WatchJob(const std::shared_ptr<grpc::Channel>& coordinator, const std::string& id,
                                         ProgressPrinter& printer, const WatchOptions& options = {});

// 0, 1 or 3 for a job that has ended.
int ExitCodeOf(const muster::v1::Job& job);

// The whole job, plus `metrics`: those of the trained model, or of the model that an evaluation job measured; {} if there are
// none. For an evaluation job each metric is also a separate key.
nlohmann::ordered_json FinalJobJson(const muster::v1::Job& job);
std::string FinalJobText(const muster::v1::Job& job, OutputFormat format);

}  // namespace muster
