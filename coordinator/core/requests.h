// Request ids: a mutation that is sent again, with the id of the first try, takes effect once. An id that its user has
// used for something else is refused, never taken for the other request.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/request_id.h"
#include "coordinator/core/event.h"
#include "coordinator/core/state.h"

namespace muster {

// The job that this user submitted with this id. Null: none. ALREADY_EXISTS: with another specification (`spec` has its
// defaults filled in).
absl::StatusOr<const JobRecord*> FindSubmission(const State& state, const std::string& owner,
                                                const std::string& request_id, const muster::v1::JobSpec& spec);

// The form in which a mutation's request id is kept in its subject's record: "pause/ada/ID".
std::string RequestKey(const JobCommand& command);
std::string RequestKey(const DrainWorker& command);
std::string RequestKey(const DeleteJob& command);

// ALREADY_EXISTS: the user sent this id with the same verb for another subject.
absl::Status CheckSameSubject(const State& state, const JobCommand& command);
absl::Status CheckSameSubject(const State& state, const DrainWorker& command);
absl::Status CheckSameSubject(const std::string& deleted, const DeleteJob& command);

}  // namespace muster
