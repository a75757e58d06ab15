// Reads from a cluster what a report shows. Only a job that cannot be read is an error: anything else missing becomes a note.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "client/connection.h"
#include "client/report/reported_job.h"
#include "muster/v1/job.grpc.pb.h"

namespace muster {

// Used by one thread.
class ReportFetcher {
 public:
  explicit ReportFetcher(const Connection& connection);  // must outlive this object
  // `given` as in client/find_job.h.
  absl::StatusOr<ReportedJob> Fetch(const std::string& given);

 private:
  absl::Status ReadSteps(ReportedJob& report);
  void ReadDatasets(ReportedJob& report);

  const Connection& connection_;
  const std::unique_ptr<muster::v1::JobService::Stub> jobs_;
  // Connection to the data server. Unset until first needed. An error means that the server did not answer; it is not retried.
  std::optional<absl::StatusOr<std::shared_ptr<grpc::Channel>>> data_;
};

}  // namespace muster
