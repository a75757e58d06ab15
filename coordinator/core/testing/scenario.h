// Runs scenario scripts: the protocol between coordinator and agents, readable in review.
//
//   # A comment.
//   worker w1 slots=2
//   submit a slots=2         -> reserve a#1 w1[0,1]
//   prepared a#1 w1          -> start a#1 world=2
//
// Commands are left of the arrow, and all their effects right of it, in order. A line without an arrow has no effects.
// `;` separates several. The commands:
//
//   worker W slots=N | worker W gpus=N   an agent says hello, instance 1
//   submit J slots=N[-M] [priority=P] [keep=K] [request=R] [device=auto|cpu|gpu]
//   prepared J#A W…       refused J#A W REASON   started J#A [W…]    stopped J#A W
//   step J#A N [eta=S] [spent=S]    N of 60 steps are done: in S seconds, and S seconds remain
//   checkpoint J#A N W     evaluated J#A W     exported J#A W [early]
//   at J#A RANK STEP PHASE COLLECTIVES [in] [silent=S] [waits=SERVER]   what the rank does, in its agent's heartbeats
//   data lost   data back the coordinator can or cannot reach the data server
//   exit J#A RANK CAUSE [MESSAGE]                CAUSE: success, error, signal, collective, permanent, stopped
//   silent W   heard W    the agent is cut off; it is heard again     new-agent W   it restarts: its ranks are dead
//   again                 the last report once more
//   advance 15s           heartbeats every 3 s of those that are not silent, a tick every second
//   draining W            its agent got SIGTERM                      gone W       it closed its session and ended
//   cancel J   pause J   resume J   drain W [request=R] [now]   undrain W
//   asleep 60s            the coordinator is frozen; then a tick, before it hears anybody
//   restart [clock=-1h]   of the coordinator, whose wall clock was set meanwhile: replay, and check that the state is the
//                         same bytes; agents say hello again
#pragma once

#include <string>

#include "absl/status/status.h"

namespace muster {

// The first line whose effects differ from the script, with the actual ones.
absl::Status RunScenario(const std::string& script);

}  // namespace muster
