// What gRPC handlers may ask of the event loop. They parse, check who calls, enqueue here, and reply.
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

  // Puts the event (a SubmitJob, JobCommand or DrainWorker; its token is filled in) into the queue and waits for its
  // Reply: what it did is durable. The subject: a job's id or a worker's name. RESOURCE_EXHAUSTED: the queue is full.
  virtual absl::StatusOr<std::string> Call(Event event) = 0;

  // Runs `look` on the loop's thread, and returns when all that it saw is durable.
  using Look = std::function<void(const State& state, const Soft& soft, absl::Time now)>;
  virtual absl::Status Query(const Look& look) = 0;

  // Puts an event into its lane. An agent's event never waits: heartbeats and progress replace what the loop has not come
  // to yet, and where too many reports wait, the session is closed. Others wait while the queue is full.
  virtual void Post(Event event) = 0;

  // RESOURCE_EXHAUSTED below the least free space: new work is refused before it is decided.
  virtual absl::Status CheckRoom() const = 0;
};

}  // namespace muster
