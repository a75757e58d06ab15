#include "coordinator/core/step.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/core/retention.h"
#include "coordinator/core/stepper.h"

namespace muster {
namespace {

bool IsOver(const journal::v1::RankState& rank) { return rank.succeeded() || rank.stopped(); }

}  // namespace

Decision Step(const State& state, Soft& soft, const Event& event, absl::Time now) {
  Stepper stepper(state, soft, now);
  std::visit([&](const auto& specific) { stepper.On(specific); }, event);
  return stepper.Finish();
}

Decision Stepper::Finish() {
  AddressPushes();
  for (auto& [id, record] : jobs_) decision_.records.push_back(RecordOf(std::move(record)));
  return std::move(decision_);
}

const JobRecord* Stepper::Job(const std::string& id) const {
  const auto changed = jobs_.find(id);
  return changed != jobs_.end() ? &changed->second : FindJob(state_, id);
}

void Stepper::Take(const JobRecord& before, Transition transition) {
  if (!transition.changed) return;
  JobRecord& record = transition.record;
  const std::string id = record.job().id();
  MeasureTransition(before, record);
  // Only for metrics, and not stored: ranks of the previous version could not read a configuration that contains it.
  for (muster::v1::CheckpointInfo& checkpoint : *record.mutable_job()->mutable_checkpoints()) checkpoint.clear_seconds();
  const auto soft = soft_.jobs.find(id);
  if (before.has_running() && !record.has_running() && soft != soft_.jobs.end() &&
      soft->second.attempt == before.running().number()) {
    for (journal::v1::StoredAttempt& info : *record.mutable_job()->mutable_attempts()) {
      if (info.number() != soft->second.attempt) continue;
      info.set_last_step(std::max<uint64_t>(info.from_step(), soft->second.progress.step()));
    }
    *record.mutable_job()->mutable_progress() = soft->second.progress;
  }
  if (IsFinal(record.job().phase())) {
    soft_.jobs.erase(id);
  } else if (record.has_running()) {
    SoftJob& job = soft_.jobs[id];
    job.waiting = {};
    job.standstill = {};
    job.changed = now_;  // any change of a running job is a sign of life
  }
  if (before.has_running() && !record.has_running()) PresumeRunning(before);
  TouchJob(before, record);
  // A slot has become free, or a job has begun to wait.
  if (before.has_running() != record.has_running() || before.job().phase() != record.job().phase()) {
    decision_.replan = true;
  }
  for (const std::string& manifest : transition.restored) {
    if (!state_.garbage.contains(manifest)) continue;
    Record used;
    used.mutable_garbage()->set_manifest(manifest);
    used.mutable_garbage()->set_collected(true);
    decision_.records.push_back(std::move(used));
  }
  for (const std::string& manifest : transition.garbage) {
    Record unused;
    unused.mutable_garbage()->set_manifest(manifest);
    decision_.records.push_back(std::move(unused));
    decision_.effects.push_back(CollectBlobs{manifest});
  }
  for (Effect& effect : transition.effects) decision_.effects.push_back(std::move(effect));
  decision_.effects.push_back(JobChanged{id});
  jobs_[id] = std::move(record);
}

void Stepper::Touch(const std::string& worker) {
  soft_.cluster.Touch(worker);
  soft_.suspects.insert(worker);
}

void Stepper::TouchWorkersOf(const journal::v1::StoredAttempt& attempt) {
  for (const muster::v1::RankPlacement& rank : attempt.ranks()) Touch(rank.worker());
}

void Stepper::TouchJob(const JobRecord& before, const JobRecord& after) {
  for (const JobRecord* record : {&before, &after}) {
    for (const journal::v1::Grant& grant : record->running().grants()) Touch(grant.worker());
  }
  if (before.job().attempts_size() > 0 && after.job().attempts_size() > 0 &&
      before.job().attempts(0).number() != after.job().attempts(0).number()) {
    TouchWorkersOf(before.job().attempts(0));  // it left the record: its ranks are no longer known
  }
  soft_.goodput.Touch(after.job().id());
  if (after.has_running()) {
    soft_.deadlines.Set(after.job().id(), now_);
  } else {
    soft_.deadlines.Erase(after.job().id());
    soft_.ends.Erase(after.job().id());
  }
}

void Stepper::PresumeRunning(const JobRecord& job) {
  if (!job.running().has_started() || job.job().attempts().empty()) return;
  for (const muster::v1::RankPlacement& rank : job.job().attempts().rbegin()->ranks()) {
    const auto worker = soft_.workers.find(rank.worker());
    if (worker == soft_.workers.end() || IsOver(job.running().ranks(static_cast<int>(rank.rank())))) continue;
    worker->second.observed[{job.job().id(), job.running().number()}].insert(rank.rank());
  }
}

void Stepper::Drive(const std::string& id, const JobEvent& event) {
  const JobRecord before = *Job(id);
  absl::StatusOr<Transition> transition = Advance(before, event, now_);
  if (transition.ok()) Take(before, *std::move(transition));
}

void Stepper::On(const BlobsCollected& event) {
  if (!state_.garbage.contains(event.manifest)) return;
  Record record;
  record.mutable_garbage()->set_manifest(event.manifest);
  record.mutable_garbage()->set_collected(true);
  decision_.records.push_back(std::move(record));
}

void Stepper::On(const RetireJobs& event) {
  for (const std::string& id : ExpiredJobs(state_, now_ - event.keep_ended, kMostRetired)) {
    Record record;
    record.mutable_removed()->set_id(id);
    for (const journal::v1::StoredAttempt& attempt : state_.jobs.at(id).job().attempts()) TouchWorkersOf(attempt);
    decision_.records.push_back(std::move(record));
  }
}

void Stepper::On(const Overslept& event) {
  soft_.awake.AddGap(event.from, now_);
  Count(Measure::kDeafSeconds, "", absl::ToDoubleSeconds(now_ - event.from));
}

void Stepper::On(const Tick&) {
  MeasureGoodput();
  FindSilentWorkers();
  FindMissedDeadlines();
  RepeatLostPushes();
  decision_.replan = true;  // workers are no longer avoided, or count as fresh
}

void Stepper::FindSilentWorkers() {
  const std::set<std::string> leaving = soft_.leaving;
  for (const std::string& name : leaving) ForgetIfGone(name);
  if (soft_.heard.size() != soft_.workers.size()) {  // a test filled it
    soft_.heard.Clear();
    for (const auto& [name, worker] : soft_.workers) soft_.heard.Set(name, worker.last_heard);
  }
  std::vector<std::string> silent;
  for (const auto& [heard, name] : soft_.heard.order()) {  // the longest silence first
    if (SilentFor(soft_, name, now_) < kLostAfter) break;
    silent.push_back(name);
  }
  std::sort(silent.begin(), silent.end());
  for (const std::string& name : silent) {
    SoftWorker& worker = soft_.workers.at(name);
    const absl::Duration age = SilentFor(soft_, name, now_);
    if (!worker.silent) {
      worker.silent = true;
      LoseSilentWorker(name, age);
    }
    if (age < kForgetAfter) continue;
    Touch(name);
    soft_.heard.Erase(name);
    soft_.leaving.erase(name);
    soft_.workers.erase(name);
  }
  const absl::Duration listened = AwakeSince(soft_, soft_.started, now_);
  if (soft_.missed_unheard || listened < kLostAfter) return;
  soft_.missed_unheard = true;
  for (const auto& [name, jobs] : state_.index.by_worker) {
    if (!soft_.workers.contains(name)) LoseSilentWorker(name, listened);
  }
}

void Stepper::LoseSilentWorker(const std::string& name, absl::Duration age) {
  Count(Measure::kSilences);
  Touch(name);
  const std::string reason = absl::StrCat(name, " silent for ", absl::ToInt64Seconds(age), " s");
  LoseWorker(name, reason, [](const journal::v1::Grant&) { return true; });
  for (const std::string& id : state_.index.cause_pending) {  // its peers' collectives failed first
    const JobRecord before = *Job(id);
    if (!before.cause_pending()) continue;
    const journal::v1::StoredAttempt* ended = nullptr;
    for (const journal::v1::StoredAttempt& info : before.job().attempts()) {
      if (info.has_ended()) ended = &info;
    }
    if (ended == nullptr) continue;
    const bool had = std::any_of(ended->ranks().begin(), ended->ranks().end(),
                                 [&](const muster::v1::RankPlacement& rank) { return rank.worker() == name; });
    if (!had) continue;
    absl::StatusOr<Transition> transition = AmendCause(before, ended->number(), WorkerLost{name, reason}, now_);
    if (transition.ok()) Take(before, *std::move(transition));
  }
}

void Stepper::FindMissedDeadlines() {
  const bool all = !soft_.data_server.answers();  // stops the timers of everything that waits for it
  if (all || soft_.deadlines.size() != state_.index.running.size()) {
    soft_.deadlines.Clear();
    for (const auto& [id, attempt] : state_.index.running) soft_.deadlines.Set(id, now_);
  }
  const std::set<std::string> due = soft_.deadlines.Due(now_);
  for (const std::string& id : due) {
    const JobRecord& record = *Job(id);
    if (!record.has_running()) continue;  // ended by this decision
    const journal::v1::RunningAttempt& running = record.running();
    if (!running.has_started()) {
      if (AwakeSince(soft_, FromProto(running.reserved()), now_) >= kPrepareWithin) {
        for (const journal::v1::Grant& grant : running.grants()) {
          if (grant.prepared()) continue;
          const auto worker = soft_.workers.find(grant.worker());
          if (worker != soft_.workers.end()) worker->second.avoided_until = now_ + kAvoidRefuser;
          Touch(grant.worker());
          Drive(id, WorkerRefused{grant.worker(), absl::StrCat(grant.worker(), " did not prepare within ",
                                                               absl::ToInt64Seconds(kPrepareWithin), " s")});
          break;
        }
      }
    } else if (running.has_stop()) {
      if (AwakeSince(soft_, FromProto(running.stop().since()), now_) >= kStopWithin) Drive(id, StopOverdue{});
    } else {
      WatchProgress(record);
    }
    if (const JobRecord& after = *Job(id); after.has_running()) soft_.deadlines.Set(id, NextDeadline(after));
  }
}

absl::Time Stepper::NextDeadline(const JobRecord& record) {
  const journal::v1::RunningAttempt& running = record.running();
  absl::Duration left;
  if (!running.has_started()) {
    left = kPrepareWithin - AwakeSince(soft_, FromProto(running.reserved()), now_);
  } else if (running.has_stop()) {
    left = kStopWithin - AwakeSince(soft_, FromProto(running.stop().since()), now_);
  } else {
    const SoftJob& soft = soft_.jobs[record.job().id()];
    if (soft.standstill.empty()) left = soft_.no_progress / kShownAfter - AwakeSince(soft_, soft.changed, now_);
  }
  return now_ + std::max(left, absl::ZeroDuration());
}

}  // namespace muster
