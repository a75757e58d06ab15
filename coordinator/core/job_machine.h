// The life of a job, as a pure function. No clock, no I/O, no locks: Step() asks Advance() what an event means for a
// job, has the record committed, and only then are the effects carried out.
//
//            (1)            (2)             (3)             (5)
//   QUEUED ──────► RESERVING ─────► STARTING ──────► TRAINING ─────► SUCCEEDED
//     ▲ ▲            │ ▲  │ (6)        │ (4)           │ (4)
//     │ └────────────┼─┼──┘            ▼               │
//     │              │ └────────── RECOVERING ◄────────┘          any but the last ones: (9) ──► CANCELLED
//     │ (8)          │      (1)        │
//   PAUSED ◄─────────┴─────────────────┴── (7) from any phase     (4) ──► FAILED
//
//   (1) the plan places every rank: attempt N + 1, which fences all before it
//   (2) every worker answered "prepared"
//   (3) every rank reported that it is about to take its first step
//   (4) a rank ended, its worker was lost, or nothing moved for 120 s: RECOVERING, to continue from the last checkpoint;
//       FAILED after 3 failures without a new checkpoint between them, or at once if the failure is permanent. If the job has
//       checkpoints, failures before (3) are not among the 3: it is retried with growing delays, for a day
//   (5) every rank succeeded and, if the job trains, the export is stored
//   (5') TRAINING, asked to save and stop (a worker drains, a user pauses, the job grows): every rank stopped after a step that is saved,
//       or 90 s have passed: RECOVERING or PAUSED. Not a failure of the job
//   (4') a rank failed while the data server could not be reached: RECOVERING. Not a failure of the job
//   (6) a worker refused, was late or was lost: every reservation is released. Not a failure of the job
//   (7) pause    (8) resume    (9) cancel
//
// Example. Attempt 1 of job a trains on w1 and w2, and w2 falls silent:
//   Advance(a, WorkerLost{"w2", "w2 silent for 15 s"}, t) → record: RECOVERING, attempt 1 ended by "w2 silent for 15 s"
//                                        effects: PushDesired{w1}, PushDesired{w2}, CloseRendezvous{a, 1}
// The next DesiredState of w1 no longer holds attempt 1, so its agent stops those ranks. A message of attempt 1 that
// arrives later is refused by Fence(), whatever it says.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/core/event.h"
#include "coordinator/core/reason.h"
#include "coordinator/core/state.h"

namespace muster {

inline constexpr int kMaxFailures = 3;     // without a new checkpoint between them
// How many attempts in a row may fail before training, if the job has checkpoints. With the delays between them: a day.
inline constexpr uint32_t kMaxStartFailures = 300;
inline constexpr absl::Duration kLongestStartDelay = absl::Minutes(5);
// How long ranks may take to save and stop. The agent of a worker that drains waits a little longer.
inline constexpr absl::Duration kStopWithin = absl::Seconds(90);
inline constexpr int kMaxAttemptInfos = 100;  // older ones are dropped from the record
inline constexpr int kMaxEvaluations = 1000;  // of one dataset and split; older ones are dropped from the record

struct Placed {
  std::vector<muster::v1::RankPlacement> ranks;  // by rank
  std::string started_ahead;                     // a whole phrase, "started ahead of job b, …"; empty: of none
};
struct WorkerPrepared {
  std::string worker, instance;
};
struct WorkerRefused {  // also sent if it was late
  std::string worker, reason;
};
struct WorkerLost {
  std::string worker, reason;  // reason: a whole phrase, "w2 silent for 15 s"
};
struct SaveAndStop {  // the attempt has to leave a worker
  std::string worker, reason;  // reason: a whole phrase, "w2 drains"
  bool can_save = true;        // no agent of it is silent
};
struct Grow {  // the attempt restarts on more ranks, because slots are free
  std::string reason;  // a whole phrase, "grows from 4 to 8 slots"
};
struct StopOverdue {};  // kStopWithin has passed
struct Stuck {
  std::string reason;  // "no progress for 120 s"
};
struct ServerLost {  // a rank failed while the data server could not be reached: not a failure of the job
  std::string reason;
};
struct UserCommand {
  Verb verb = Verb::kCancel;
  std::string user, request_id;
  bool can_save = true;  // as in SaveAndStop
};

using JobEvent =
    std::variant<Placed, WorkerPrepared, WorkerRefused, WorkerLost, SaveAndStop, Grow, StopOverdue, Stuck, ServerLost,
                 UserCommand, muster::internal::v1::RankStarted, muster::internal::v1::RankExited,
                 muster::internal::v1::CheckpointSaved, muster::internal::v1::CheckpointRefused, muster::v1::Evaluation,
                 muster::internal::v1::Exported, muster::internal::v1::TraceSaved>;

struct Transition {
  JobRecord record;
  std::vector<Effect> effects;
  std::vector<std::string> garbage;   // manifests of checkpoints that the job no longer refers to
  std::vector<std::string> restored;  // manifests that the job refers to (again)
  bool changed = false;               // otherwise the event was known already, and `record` is unchanged
};

// Applies the event to the job. FAILED_PRECONDITION: the event does not fit the phase ("job a has ended").
// Events of agents must have passed Fence().
absl::StatusOr<Transition> Advance(const JobRecord& job, const JobEvent& event, absl::Time now);

// OK if the attempt is the one that runs; otherwise FAILED_PRECONDITION "attempt 1 ended".
absl::Status Fence(const JobRecord& job, uint32_t attempt);

// If the last attempt's only known cause is a failed collective (survivors only see "connection closed"), and `event` is the
// actual failure of a rank: the record with that cause, FAILED if it is permanent. Otherwise nothing.
absl::StatusOr<Transition> AmendCause(const JobRecord& job, uint32_t attempt, const JobEvent& event, absl::Time now);

// The newest checkpoint's step; 0: none. Damaged checkpoints do not count.
uint64_t CheckpointStep(const JobRecord& job);

// Whether the next attempt must wait because the previous ones failed before training.
bool WaitsToRetry(const JobRecord& job, absl::Time now);

// "rank 1 on w2 was killed by SIGKILL", or with the rank's own message "rank 0 on w1: loss is not finite".
std::string DescribeExit(const JobRecord& job, uint32_t attempt, const muster::internal::v1::RankExited& exit);
// The same, with its code.
Reason ReasonOfExit(const JobRecord& job, uint32_t attempt, const muster::internal::v1::RankExited& exit);

}  // namespace muster
