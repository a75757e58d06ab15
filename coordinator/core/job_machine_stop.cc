// What ends an attempt early: requests to save and stop, lost workers, and commands of users.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "coordinator/core/job_machine_internal.h"
#include "coordinator/core/requests.h"

namespace muster {
namespace {

using journal::v1::StoredAttempt;
using muster::internal::v1::RankExited;
using muster::v1::JobPhase;

constexpr int kMaxRequests = 32;
constexpr absl::string_view kPausedBy = "paused by ";
constexpr char kThen[] = ", then ";

// The reason shown from a request to stop until the attempt's last rank has ended. `reason`: that of the newest request.
std::string StoppingText(const Reason& reason, bool pause) {
  if (pause) return absl::StrCat("pausing for ", absl::StripPrefix(reason.text, kPausedBy), ": saving a checkpoint");
  return absl::StrCat(reason.text, ": saving a checkpoint, then ",
                      reason.code == muster::v1::REASON_CODE_GROWING ? "starting again with more ranks" : "moving to other slots");
}

}  // namespace

void Machine::OrderStop(const Reason& reason, bool pause) {
  journal::v1::StopOrder& stop = *record().mutable_running()->mutable_stop();
  stop.set_reason(reason.text);
  stop.set_code(reason.code);
  *stop.mutable_since() = ToProto(now_);
  stop.set_pause(pause);
  for (const journal::v1::Grant& grant : record().running().grants()) {
    result_.effects.push_back(PushDesired{grant.worker()});
  }
  MoveTo(phase(), {reason.code, StoppingText(reason, pause)});
}

// The first request decides why the attempt ends; users may pause and resume the job any number of times until then.
void Machine::AddToStop(const Reason& more) {
  journal::v1::StopOrder& stop = *record().mutable_running()->mutable_stop();
  const std::string first = stop.reason().substr(0, stop.reason().find(kThen));
  stop.set_reason(first == more.text ? first : absl::StrCat(first, kThen, more.text));
  stop.set_code(more.code);
}

void Machine::StopRankInOrder(const RankExited& event) {
  journal::v1::RunningAttempt& running = *record().mutable_running();
  if (event.cause() != muster::internal::v1::EXIT_CAUSE_STOPPED) {
    return FinishStop(DescribeExit(record(), running.number(), event));
  }
  if (running.ranks(static_cast<int>(event.rank())).stopped()) return;
  running.mutable_ranks(static_cast<int>(event.rank()))->set_stopped(true);
  result_.changed = true;
  const bool all = std::all_of(running.ranks().begin(), running.ranks().end(), [](const journal::v1::RankState& rank) {
    return rank.stopped() || rank.succeeded();
  });
  if (all) FinishStop("");
}

void Machine::FinishStop(const std::string& more) {
  const journal::v1::StopOrder stop = record().running().stop();
  const Reason reason = {stop.code(), more.empty() ? stop.reason() : absl::StrCat(stop.reason(), "; ", more)};
  EndAttempt(reason, stop.pause() ? AttemptEnd::kPaused : AttemptEnd::kStopped);
  record().set_cause_pending(false);
  MoveTo(stop.pause() ? JobPhase::JOB_PHASE_PAUSED : JobPhase::JOB_PHASE_RECOVERING, reason);
}

absl::Status Machine::On(const SaveAndStop& event) {
  if (record().running().has_stop()) return absl::OkStatus();
  const Reason reason = {muster::v1::REASON_CODE_WORKER_DRAINING, event.reason};
  if (phase() == JobPhase::JOB_PHASE_RESERVING) return Release(reason);
  if (CanSave(event.can_save)) {
    OrderStop(reason, /*pause=*/false);
  } else {
    Fail(reason, AttemptEnd::kStopped, /*permanent=*/false, /*pending=*/false);
  }
  return absl::OkStatus();
}

absl::Status Machine::On(const Grow& event) {
  if (record().running().has_stop() || !CanSave(true)) return absl::OkStatus();
  OrderStop({muster::v1::REASON_CODE_GROWING, event.reason}, /*pause=*/false);
  return absl::OkStatus();
}

absl::Status Machine::On(const StopOverdue&) {
  if (!record().running().has_stop()) return absl::OkStatus();
  FinishStop(absl::StrCat("not all ranks stopped within ", absl::ToInt64Seconds(kStopWithin), " s"));
  return absl::OkStatus();
}

absl::Status Machine::On(const WorkerLost& event) {
  const Reason reason = {muster::v1::REASON_CODE_WORKER_LOST, event.reason};
  if (phase() == JobPhase::JOB_PHASE_RESERVING) return Release(reason);
  if (record().running().has_stop()) {
    const StoredAttempt* info = InfoOf(record(), record().running().number());
    const bool needed = info == nullptr || std::any_of(info->ranks().begin(), info->ranks().end(), [&](const auto& rank) {
      return rank.worker() == event.worker && !record().running().ranks(static_cast<int>(rank.rank())).stopped();
    });
    if (needed) FinishStop(event.reason);  // otherwise its ranks have stopped, and it is not needed
    return absl::OkStatus();
  }
  Fail(reason, AttemptEnd::kLost, /*permanent=*/false, /*pending=*/false);
  return absl::OkStatus();
}

absl::Status Machine::On(const Stuck& event) {
  Fail({muster::v1::REASON_CODE_NO_PROGRESS, event.reason}, AttemptEnd::kNoProgress, /*permanent=*/false, /*pending=*/false);
  return absl::OkStatus();
}

absl::Status Machine::On(const ServerLost& event) {
  Fail({muster::v1::REASON_CODE_DATA_SERVER_LOST, event.reason}, AttemptEnd::kServerLost, /*permanent=*/false, /*pending=*/false);
  return absl::OkStatus();
}

absl::Status Machine::On(const UserCommand& event) {
  const std::string key = RequestKey(JobCommand{0, event.verb, job().id(), event.user, event.request_id});
  if (!event.request_id.empty()) {
    const auto& known = record().requests();
    if (std::find(known.begin(), known.end(), key) != known.end()) return absl::OkStatus();
  }
  const bool ended = IsFinal(phase()), paused = phase() == JobPhase::JOB_PHASE_PAUSED;
  const std::string by = absl::StrCat("by ", event.user);
  const Reason paused_by = {muster::v1::REASON_CODE_PAUSED, absl::StrCat("paused ", by)};
  switch (event.verb) {
    case Verb::kCancel:
      if (phase() == JobPhase::JOB_PHASE_CANCELLED) return absl::OkStatus();
      if (ended) break;
      EndAttempt({muster::v1::REASON_CODE_CANCELED, absl::StrCat("cancelled ", by)}, AttemptEnd::kCancelled);
      MoveTo(JobPhase::JOB_PHASE_CANCELLED, {muster::v1::REASON_CODE_CANCELED, absl::StrCat("cancelled ", by)});
      break;
    case Verb::kPause:
      if (paused) return absl::OkStatus();
      if (ended) break;
      if (record().running().has_stop()) {
        if (record().running().stop().pause()) return absl::OkStatus();
        record().mutable_running()->mutable_stop()->set_pause(true);
        AddToStop(paused_by);
        MoveTo(phase(), {paused_by.code, StoppingText(paused_by, /*pause=*/true)});
        break;
      }
      if (CanSave(event.can_save)) {
        OrderStop(paused_by, /*pause=*/true);
        break;
      }
      EndAttempt(paused_by, AttemptEnd::kPaused);
      MoveTo(JobPhase::JOB_PHASE_PAUSED, paused_by);
      break;
    case Verb::kResume:
      if (ended) break;
      if (record().running().has_stop() && record().running().stop().pause()) {  // it is still stopping, and continues afterwards
        record().mutable_running()->mutable_stop()->set_pause(false);
        AddToStop({muster::v1::REASON_CODE_RESUMED, absl::StrCat("resumed ", by)});
        MoveTo(phase(), {muster::v1::REASON_CODE_RESUMED,
                         absl::StrCat("resumed ", by, ": it still saves a checkpoint and stops, then continues")});
        break;
      }
      if (!paused) return absl::OkStatus();  // it runs, or waits for slots, already
      if (record().has_start_failures()) record().mutable_start_failures()->clear_retry();
      MoveTo(JobPhase::JOB_PHASE_QUEUED, {muster::v1::REASON_CODE_RESUMED, absl::StrCat("resumed ", by)});
      break;
  }
  if (!result_.changed) {
    return absl::FailedPreconditionError(
        absl::StrCat("job ", job().id(), " has ended (", PhaseName(phase()), "). Submit it again."));
  }
  if (!event.request_id.empty()) {
    record().add_requests(key);
    while (record().requests_size() > kMaxRequests) record().mutable_requests()->DeleteSubrange(0, 1);
  }
  return absl::OkStatus();
}

}  // namespace muster
