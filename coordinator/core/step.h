// The coordinator as a function: an event in, records and effects out.
//
//   gRPC threads ──Event──► Step(state, soft, event, now) ──► records ──► Store::Commit (journal, then apply)
//                                                        └──► effects, once the records are durable
//
// The same state, soft state, event and time give the same decision, byte for byte. `state` changes only when the records are
// committed; `soft` (heartbeats, progress) changes in place.
//
// Worked example, a gang of two ranks on one worker:
//   SubmitJob a            → record a QUEUED, Reply, replan
//   Plan                   → record a RESERVING attempt 1, PushDesired w1 (phase PREPARE)
//   AgentReport Prepared   → record a STARTING, OpenRendezvous, PushDesired w1 (phase RUN), AckReport
//   AgentReport RankStarted ×2 → record a TRAINING, AckReport
//   AgentReport RankExited ×2  → record a SUCCEEDED, CloseRendezvous, PushDesired w1 (empty), AckReport, replan
#pragma once

#include "absl/time/time.h"
#include "coordinator/core/event.h"
#include "coordinator/core/soft.h"
#include "coordinator/core/state.h"

namespace muster {

inline constexpr absl::Duration kHeartbeat = absl::Seconds(3);
inline constexpr absl::Duration kLostAfter = absl::Seconds(15);      // without a message
inline constexpr absl::Duration kForgetAfter = absl::Minutes(10);    // by then its agent has stopped every rank
inline constexpr absl::Duration kRepeatPush = absl::Seconds(5);      // to an agent that does not follow the desired state
inline constexpr absl::Duration kPrepareWithin = absl::Seconds(30);
inline constexpr absl::Duration kAvoidRefuser = absl::Seconds(10);

Decision Step(const State& state, Soft& soft, const Event& event, absl::Time now);

}  // namespace muster
