// The part of Step for metrics: what an event adds to counters and histograms.
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "absl/strings/match.h"
#include "coordinator/core/stepper.h"

namespace muster {
namespace {

using muster::v1::JobPhase;
using muster::v1::Progress;

constexpr absl::Duration kLongestSample = absl::Seconds(10);  // longer gaps were not observed

SlotUse UseOf(const Progress& progress) {
  if (absl::StartsWith(progress.activity(), "evaluating")) return SlotUse::kEvaluate;
  if (progress.activity() == "exporting" || progress.activity() == "saving a checkpoint") return SlotUse::kCheckpoint;
  if (progress.activity() == "waiting for the data server") return SlotUse::kData;
  return progress.activity() == "training" ? SlotUse::kTrain : SlotUse::kStart;
}

// The share of a step that waits for data.
double DataShare(const Progress& progress) {
  double all = 0, data = 0;
  for (const auto& [phase, seconds] : progress.seconds()) {
    all += seconds;
    if (phase == "data") data = seconds;
  }
  return all > 0 && std::isfinite(all) ? std::clamp(data / all, 0.0, 1.0) : 0;
}

bool Failed(const JobRecord& after) {
  return after.job().phase() == JobPhase::JOB_PHASE_RECOVERING || after.job().phase() == JobPhase::JOB_PHASE_FAILED;
}

}  // namespace

void Stepper::Count(Measure measure, std::string label, double value) {
  if (value >= 0 && std::isfinite(value)) decision_.effects.push_back(Measured{measure, std::move(label), value});
}

void Stepper::MeasureTransition(const JobRecord& before, const JobRecord& after) {
  const auto found = soft_.jobs.find(after.job().id());
  if (found == soft_.jobs.end()) return;
  SoftJob& soft = found->second;
  if (before.has_running() && !after.has_running()) {
    if (Failed(after)) {
      Count(Measure::kGoodputSeconds, "lost", soft_.goodput.AtRisk(after.job().id()));
      soft.failed_at = now_;
    }
    soft_.goodput.LimitAtRisk(after.job().id(), 0);
  }
  if (after.job().phase() == JobPhase::JOB_PHASE_PAUSED) soft.failed_at = absl::InfinitePast();
  if (after.job().checkpoints_size() > 0 && after.has_running()) {
    const muster::v1::CheckpointInfo& newest = *std::max_element(
        after.job().checkpoints().begin(), after.job().checkpoints().end(),
        [](const auto& a, const auto& b) { return a.step() < b.step(); });
    const auto& known = before.job().checkpoints();
    const bool fresh = std::none_of(known.begin(), known.end(),
                                    [&](const auto& old) { return old.manifest() == newest.manifest(); });
    // Steps taken while it was being stored are not in it.
    const double unsaved = std::max(0.0, newest.seconds()) * after.running().ranks_size();
    if (fresh) soft_.goodput.LimitAtRisk(after.job().id(), unsaved);
  }
}

void Stepper::MeasureProgress(const JobRecord& job, SoftJob& soft) {
  if (soft.failed_at == absl::InfinitePast() || job.job().attempts().empty()) return;
  const journal::v1::StoredAttempt& info = *job.job().attempts().rbegin();
  if (info.number() != soft.attempt || soft.progress.activity() != "training" ||
      soft.progress.step() <= info.from_step()) {
    return;
  }
  Count(Measure::kRecoverySeconds, "", absl::ToDoubleSeconds(now_ - soft.failed_at));
  soft.failed_at = absl::InfinitePast();
}

// An attempt that continues from a checkpoint may close an epoch again: its weights were rolled back, and with them its
// ledger. Committed queries count once; faults count whenever they are found.
void Stepper::MeasureEpoch(const std::string& id, const muster::internal::v1::EpochClosed& closed) {
  SoftJob& soft = soft_.jobs[id];
  if (closed.epoch() + 1 > soft.last_closed) {
    Count(Measure::kEpochQueries, "committed", static_cast<double>(closed.committed()));
    soft.last_closed = closed.epoch() + 1;
  }
  if (closed.duplicated() > 0) Count(Measure::kEpochQueries, "duplicated", static_cast<double>(closed.duplicated()));
  if (closed.missing() > 0) Count(Measure::kEpochQueries, "missing", static_cast<double>(closed.missing()));
}

void Stepper::UpdateGoodput(const std::string& id) {
  const auto running = state_.index.running.find(id);
  if (running == state_.index.running.end()) return soft_.goodput.Erase(id);
  AttemptUse use = {.slots = running->second.ranks};
  const auto soft = soft_.jobs.find(id);
  if (running->second.trains && soft != soft_.jobs.end() && soft->second.attempt == running->second.number) {
    use.use = UseOf(soft->second.progress);
    use.data_share = DataShare(soft->second.progress);
  }
  soft_.goodput.Set(id, use);
}

// The time since the last tick counts for what each attempt does now.
void Stepper::MeasureGoodput() {
  for (const std::string& id : soft_.goodput.TakeTouched()) UpdateGoodput(id);
  if (soft_.goodput.size() != state_.index.running.size()) {  // after a start
    for (const auto& [id, attempt] : state_.index.running) UpdateGoodput(id);
  }
  const absl::Duration passed = now_ - std::max(soft_.accounted, now_ - kLongestSample);
  const bool first = soft_.accounted == absl::InfinitePast();
  soft_.accounted = now_;
  if (first || passed <= absl::ZeroDuration()) return;
  const double seconds = absl::ToDoubleSeconds(passed);
  const auto count = [this](const char* phase, double slot_seconds) {
    if (slot_seconds > 0) Count(Measure::kGoodputSeconds, phase, slot_seconds);
  };
  count("queue", static_cast<double>(state_.index.waiting_slots) * seconds);
  const std::array<double, kSlotUses> spent = soft_.goodput.Pass(seconds);
  for (size_t use = 0; use < kSlotUses; ++use) count(NameOf(static_cast<SlotUse>(use)), spent[use]);
}

}  // namespace muster
