// Rank 0's progress reports to its agent and its log, no more often than users and metrics need.
#pragma once

#include <string>
#include <vector>

#include "common/clock.h"
#include "common/spec/stages.h"
#include "muster/rank/v1/rank.pb.h"
#include "worker/rank/collective/activity_board.h"
#include "worker/rank/link/agent_pipe.h"
#include "worker/rank/train/trainer.h"

namespace muster {

// Not thread-safe. Only rank 0 reports steps, because all ranks run the same ones.
class ProgressReporter {
 public:
  // All ranks write their activity to `board`, which must outlive it.
  ProgressReporter(const muster::rank::v1::RankConfig& config, AgentPipe& agent, const Clock& clock,
                   ActivityBoard& board);

  // Reports an activity other than training. A new activity is always sent.
  void Activity(const std::string& activity, double done = 0);
  // `steps_done` steps are done; the last one took `seconds`. `always`: send it even if one was sent just now.
  void Step(const StepReport& report, uint64_t steps_done, double seconds, bool always);

 private:
  void Send(bool always);
  void LogStep(bool always);

  const bool silent_;
  AgentPipe& agent_;
  const Clock& clock_;
  ActivityBoard& board_;
  const std::vector<Stage> stages_;
  muster::v1::Progress progress_;
  double mean_step_seconds_ = 0;
  absl::Duration last_sent_ = -absl::InfiniteDuration();
  absl::Duration last_logged_ = -absl::InfiniteDuration();
};

}  // namespace muster
