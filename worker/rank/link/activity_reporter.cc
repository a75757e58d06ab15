#include "worker/rank/link/activity_reporter.h"

#include <optional>
#include <utility>

#include "common/clock.h"

namespace muster {

ActivityReporter::ActivityReporter(AgentPipe& agent, const ActivityBoard& board, Options options)
    : agent_(agent), board_(board), options_(std::move(options)) {
  thread_ = std::thread([this] { Run(); });
}

ActivityReporter::~ActivityReporter() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void ActivityReporter::Run() {
  std::optional<std::pair<ActivityBoard::Entry, std::string>> sent;
  absl::Duration sent_at;
  while (true) {
    std::pair<ActivityBoard::Entry, std::string> seen{board_.Read(), options_.unreachable()};
    const absl::Duration now = RealClock().Monotonic();
    if (!sent.has_value() || *sent != seen || now - sent_at >= options_.report_every) {
      muster::rank::v1::RankMessage message;
      muster::internal::v1::RankActivity& activity = *message.mutable_activity();
      activity.set_rank(options_.rank);
      activity.set_step(seen.first.step);
      activity.set_phase(seen.first.phase);
      activity.set_collectives(seen.first.collectives);
      activity.set_in_collective(seen.first.in_collective);
      activity.set_unreachable(seen.second);
      agent_.Send(message).IgnoreError();  // if the agent has exited, other code ends this process
      sent = std::move(seen);
      sent_at = now;
    }
    absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), options_.check_every)) return;
  }
}

}  // namespace muster
