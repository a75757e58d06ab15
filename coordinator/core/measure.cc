// The part of Step for metrics: what an event adds to counters and histograms.
#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/match.h"
#include "coordinator/core/stepper.h"

namespace muster {
namespace {

using muster::v1::JobPhase;
using muster::v1::Progress;

constexpr absl::Duration kLongestSample = absl::Seconds(10);  // longer gaps were not observed

// What the slots of a training attempt do now, as a phase of goodput; "train" is divided further.
std::string TrainingPhase(const Progress& progress) {
  if (absl::StartsWith(progress.activity(), "evaluating")) return "evaluate";
  if (progress.activity() == "exporting" || progress.activity() == "saving a checkpoint") return "checkpoint";
  if (progress.activity() == "waiting for the data server") return "data";
  return progress.activity() == "training" ? "train" : "start";
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
      Count(Measure::kGoodputSeconds, "lost", soft.at_risk);
      soft.failed_at = now_;
    }
    soft.at_risk = 0;
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
    if (fresh) soft.at_risk = std::min(soft.at_risk, std::max(0.0, newest.seconds()) * after.running().ranks_size());
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

void Stepper::MeasureGoodput() {
  const absl::Duration passed = now_ - std::max(soft_.accounted, now_ - kLongestSample);
  const bool first = soft_.accounted == absl::InfinitePast();
  soft_.accounted = now_;
  if (first || passed <= absl::ZeroDuration()) return;
  std::map<std::string, double> spent;
  if (state_.index.waiting_slots > 0) {
    spent["queue"] = static_cast<double>(state_.index.waiting_slots) * absl::ToDoubleSeconds(passed);
  }
  for (const auto& [id, attempt] : state_.index.running) {
    const double seconds = attempt.ranks * absl::ToDoubleSeconds(passed);
    const auto soft = soft_.jobs.find(id);
    if (!attempt.trains || soft == soft_.jobs.end() || soft->second.attempt != attempt.number) {
      spent["start"] += seconds;
      continue;
    }
    const std::string what = TrainingPhase(soft->second.progress);
    if (what != "train") {
      spent[what] += seconds;
      continue;
    }
    const double data = DataShare(soft->second.progress) * seconds;
    spent["data"] += data;
    spent["train"] += seconds - data;
    soft->second.at_risk += seconds;
  }
  for (const auto& [phase, seconds] : spent) Count(Measure::kGoodputSeconds, phase, seconds);
}

}  // namespace muster
