// Finds the job that a user means by its id, its name, or the beginning of its id.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/status.h"
#include "muster/v1/job.grpc.pb.h"

namespace muster {

// What distinguishes a listed job from others.
struct ListedJob {
  std::string id, name, phase;
};

// The id of the one job named `given` or, if none is, of the one whose id begins with it. INVALID_ARGUMENT names the
// candidates if there are several. NOT_FOUND: there is none.
absl::StatusOr<std::string> ChooseJob(const std::string& given, const std::vector<ListedJob>& jobs);

// Calls ChooseJob with the jobs that the coordinator lists.
absl::StatusOr<std::string> FindJobId(muster::v1::JobService::Stub& stub, const std::string& given);

// Returns use(id), a StatusOr. Tries `given` as an id first, and lists jobs only if there is no job with that id. `use` must
// change nothing when it returns NOT_FOUND.
template <typename Use>
auto WithJob(muster::v1::JobService::Stub& stub, const std::string& given, Use use) -> decltype(use(given)) {
  auto result = use(given);
  if (!absl::IsNotFound(result.status())) return result;
  const absl::StatusOr<std::string> id = FindJobId(stub, given);
  if (absl::IsNotFound(id.status()) || (id.ok() && *id == given)) return result;
  if (!id.ok()) return id.status();
  return use(*id);
}

// The job itself.
absl::StatusOr<muster::v1::Job> GetNamedJob(muster::v1::JobService::Stub& stub, const std::string& given);

// Completes the job in `model.from: job:JOB` or `job:JOB@STEP`. A job that is not found is left to the coordinator's own error.
absl::Status CompleteModelJob(muster::v1::JobService::Stub& stub, muster::v1::JobSpec& spec);

}  // namespace muster
