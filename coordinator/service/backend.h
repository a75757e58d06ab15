// The event loop as gRPC handlers see it. Handlers parse, check the caller, enqueue here, and reply.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/core/event.h"
#include "coordinator/core/soft.h"
#include "coordinator/core/state.h"

namespace muster {

class Backend {
 public:
  virtual ~Backend() = default;

  // Puts the event (a SubmitJob, JobCommand or DrainWorker; its token is filled in) into the queue and waits for its Reply,
  // which means that the change is durable. The subject: a job's id or a worker's name. RESOURCE_EXHAUSTED: the queue is full.
  //
  // `look` runs on the loop's thread if the event took effect, after the plan that follows the event: a Query in the same
  // turn. All that it saw is durable, too.
  using LookAtSubject = std::function<void(const State& state, const Soft& soft, const std::string& subject)>;
  virtual absl::StatusOr<std::string> Call(Event event, const LookAtSubject& look = nullptr) = 0;

  // Runs `look` on the loop's thread, and returns when all that it saw is durable.
  using Look = std::function<void(const State& state, const Soft& soft, absl::Time now)>;
  virtual absl::Status Query(const Look& look) = 0;

  // Puts an event into its lane. An agent's event never waits: a heartbeat or progress report replaces the previous one if the
  // loop has not reached it, and if too many reports wait, the session is closed. Others wait while the queue is full.
  virtual void Post(Event event) = 0;

  // RESOURCE_EXHAUSTED below the least free space: new work is refused before it is decided.
  virtual absl::Status CheckRoom() const = 0;
};

}  // namespace muster
