// The part of Step that distinguishes an attempt that is stuck from one that waits for a server that nobody can reach.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/core/liveness.h"
#include "coordinator/core/stepper.h"

namespace muster {
namespace {

constexpr absl::Duration kShownEvery = absl::Seconds(10);

}  // namespace

void Stepper::On(const DataServerSeen& event) {
  DataServerView& view = soft_.data_server;
  view.address = event.address;
  if (event.answers == view.answers()) return;
  view.lost_at = event.answers ? absl::InfiniteFuture() : now_;
  if (!event.answers) return;
  for (const auto& [id, attempt] : state_.index.running) soft_.deadlines.Set(id, now_);
  for (auto& [id, job] : soft_.jobs) {
    if (!std::exchange(job.held, false)) continue;
    job.waiting = {};
    decision_.replan = true;
  }
}

void Stepper::ShowStandstill(const std::string& id, SoftJob& soft, Reason reason) {
  const bool same_kind = !reason.empty() && soft.standstill.code == reason.code;
  if (same_kind && now_ - soft.standstill_at < kShownEvery) return;
  if (soft.standstill.empty() && reason.empty()) return;
  soft.standstill = std::move(reason);
  soft.standstill_at = now_;
  decision_.effects.push_back(JobChanged{id});
}

void Stepper::WatchProgress(const JobRecord& record) {
  const std::string& id = record.job().id();
  const journal::v1::RunningAttempt& running = record.running();
  SoftJob& soft = soft_.jobs[id];
  soft.changed = std::max({soft.changed, FromProto(running.started()), soft_.started});
  const absl::Duration still = AwakeSince(soft_, soft.changed, now_);
  const bool moves = still < soft_.no_progress / kShownAfter;
  if (moves && soft_.data_server.answers()) {  // nearly always: no look at the ranks
    soft.outage_seen = absl::InfinitePast();
    return ShowStandstill(id, soft, {});
  }
  const std::vector<RankStanding> standings = StandingsOf(record, soft_, now_);
  if (WaitsForLostServer(standings, soft_)) {
    // The timer is paused between these two ticks.
    if (soft.outage_seen != absl::InfinitePast()) soft.changed += now_ - soft.outage_seen;
    soft.outage_seen = now_;
    ShowStandstill(id, soft, {muster::v1::REASON_CODE_WAITING_FOR_DATA_SERVER,
                              absl::StrCat("waiting for ", DescribeOutage(soft_, now_))});
    return;
  }
  soft.outage_seen = absl::InfinitePast();
  if (moves) return ShowStandstill(id, soft, {});
  const bool stuck = still >= soft_.no_progress;
  std::string reason = absl::StrCat("no progress for ", absl::ToInt64Seconds(stuck ? soft_.no_progress : still), " s");
  const std::string server = ServerWaitedFor(standings);
  const std::string lag = DescribeLag(standings);
  if (!server.empty()) {
    const auto cut_off = std::find_if(standings.begin(), standings.end(),
                                      [](const RankStanding& rank) { return !rank.unreachable.empty(); });
    absl::StrAppend(&reason, ": rank ", cut_off->rank, " on ", cut_off->worker, " cannot reach ", server,
                    ", which answers the coordinator");
  } else if (!lag.empty()) {
    absl::StrAppend(&reason, ": ", lag);
  } else if (soft.attempt == running.number()) {  // ranks of a version that does not report its activity
    absl::StrAppend(&reason, " at step ", soft.progress.step());
    if (!soft.progress.activity().empty()) absl::StrAppend(&reason, ", ", soft.progress.activity());
  }
  if (stuck) {
    Drive(id, Stuck{std::move(reason)});
    return;
  }
  ShowStandstill(id, soft, {muster::v1::REASON_CODE_NO_PROGRESS, std::move(reason)});
}

bool Stepper::TakeExitInOutage(const JobRecord& record, const muster::internal::v1::RankExited& exit) {
  const bool may_be_the_server = exit.cause() == muster::internal::v1::EXIT_CAUSE_ERROR ||
                                 exit.cause() == muster::internal::v1::EXIT_CAUSE_COLLECTIVE;
  if (soft_.data_server.answers() || !may_be_the_server || record.running().has_stop()) return false;
  const std::string id = record.job().id();
  const std::string reason = absl::StrCat(DescribeExit(record, record.running().number(), exit), "; waiting for ",
                                          DescribeOutage(soft_, now_));
  Drive(id, ServerLost{reason});
  SoftJob& soft = soft_.jobs[id];
  soft.held = true;
  soft.waiting = {muster::v1::REASON_CODE_WAITING_FOR_DATA_SERVER,
                  absl::StrCat("waits until data server ", soft_.data_server.address, " answers")};
  return true;
}

muster::internal::v1::RankExited Stepper::WithLaggingPeer(const JobRecord& record,
                                                          muster::internal::v1::RankExited exit) const {
  if (exit.cause() != muster::internal::v1::EXIT_CAUSE_COLLECTIVE) return exit;
  const std::string lag = DescribePeersBehind(StandingsOf(record, soft_, now_), exit.rank());
  if (!lag.empty()) exit.set_message(absl::StrCat(exit.message().empty() ? "lost its peers" : exit.message(), "; ", lag));
  return exit;
}

}  // namespace muster
