#include "coordinator/core/run_time.h"

#include <algorithm>
#include <string>

#include "common/deterministic_bytes.h"
#include "common/spec/training_sets.h"
#include "coordinator/core/job_machine.h"

namespace muster {
namespace {

using journal::v1::StoredJob;

constexpr int kMostAlike = 4;  // jobs that are compared with one that waits

// How fast a job took its steps, and on how many ranks.
struct Pace {
  double step_seconds = 0;
  uint32_t ranks = 0;
};

std::optional<Pace> PaceOf(const journal::v1::StoredAttempt& attempt, const muster::v1::Progress& progress) {
  if (progress.step() <= attempt.from_step() || progress.train_seconds() <= 0 || attempt.ranks().empty()) return std::nullopt;
  return Pace{progress.train_seconds() / static_cast<double>(progress.step() - attempt.from_step()),
              static_cast<uint32_t>(attempt.ranks_size())};
}

// The rate of the newest attempt whose progress is known.
std::optional<Pace> PaceOf(const StoredJob& job, const Soft& soft) {
  const auto live = soft.jobs.find(job.id());
  const bool speaks = live != soft.jobs.end() && live->second.attempt != 0;
  for (auto attempt = job.attempts().rbegin(); attempt != job.attempts().rend(); ++attempt) {
    if (speaks && attempt->number() == live->second.attempt) return PaceOf(*attempt, live->second.progress);
    // The record has the progress of the last attempt that reported any.
    const bool moved = attempt->has_ended() && attempt->last_step() > attempt->from_step();
    if (!speaks && moved && attempt->last_step() == job.progress().step()) {
      return PaceOf(*attempt, job.progress());
    }
  }
  return std::nullopt;
}

// An upper bound for the time of a job's remaining evaluations, based on those of `like`. Nothing: unknown.
std::optional<double> EvaluationSeconds(const StoredJob& job, uint64_t steps_left, const StoredJob& like) {
  if (job.spec().has_mine()) return std::nullopt;  // not measured
  double evaluations = 0;
  if (!job.spec().report().dataset().empty()) evaluations += 2;
  if (!job.spec().evaluate().dataset().empty()) {
    const uint64_t every = std::max<uint64_t>(1, job.spec().evaluate().every_steps());
    evaluations += 2 + static_cast<double>(steps_left / every);
  }
  if (evaluations == 0) return 0;
  double slowest = 0;
  for (const muster::v1::Evaluation& done : like.evaluations()) slowest = std::max(slowest, done.seconds());
  if (slowest <= 0) return std::nullopt;
  return evaluations * slowest;
}

// Whether a step of one takes as long as a step of the other, on as many ranks of the same kind of device.
bool DoSameWork(const StoredJob& a, const StoredJob& b) {
  const muster::v1::JobSpec &one = a.spec(), &other = b.spec();
  return TrainingDatasetsOf(a.resolved()) == TrainingDatasetsOf(b.resolved()) &&
         a.resolved().evaluate_dataset() == b.resolved().evaluate_dataset() &&
         a.resolved().report_dataset() == b.resolved().report_dataset() && one.precision() == other.precision() &&
         DeterministicBytes(one.model()) == DeterministicBytes(other.model()) &&
         DeterministicBytes(one.data()) == DeterministicBytes(other.data()) &&
         DeterministicBytes(one.batch()) == DeterministicBytes(other.batch()) &&
         DeterministicBytes(one.loss()) == DeterministicBytes(other.loss());
}

std::optional<absl::Duration> RunOf(const StoredJob& job, uint64_t steps_left, const Pace& pace, uint32_t slots,
                                    const StoredJob& like) {
  const std::optional<double> evaluations = EvaluationSeconds(job, steps_left, like);
  if (!evaluations.has_value()) return std::nullopt;
  // With fewer ranks a job takes proportionally longer; with more ranks it need not be faster.
  const double share = std::max(1.0, static_cast<double>(pace.ranks) / slots);
  const double seconds = share * (static_cast<double>(steps_left) * pace.step_seconds + *evaluations);
  return kSlower * absl::Seconds(seconds) + kBesideSteps;
}

}  // namespace

EndEstimate EndOf(const JobRecord& record, const SoftJob* soft, absl::Time now) {
  const StoredJob& job = record.job();
  if (soft == nullptr || soft->attempt != record.running().number() || record.running().has_stop()) return {};
  const muster::v1::Progress& progress = soft->progress;
  if (progress.step() == 0 || progress.total_steps() < progress.step()) return {};
  const uint64_t left = progress.total_steps() - progress.step();
  if (left > 0 && progress.eta_seconds() <= 0) return {};
  EndEstimate end;
  const bool may_stop_early = job.spec().evaluate().has_early_stop();
  if (!may_stop_early && left > 0) end.earliest = now + kFaster * absl::Seconds(progress.eta_seconds());
  if (const std::optional<double> evaluations = EvaluationSeconds(job, left, job); evaluations.has_value()) {
    end.latest = now + kSlower * absl::Seconds(progress.eta_seconds() + *evaluations) + kBesideSteps;
  }
  return end;
}

std::optional<absl::Duration> LongestRun(const State& state, const Soft& soft, const JobRecord& record, uint32_t slots) {
  const StoredJob& job = record.job();
  const uint64_t total = job.resolved().total_steps(), done = CheckpointStep(record);
  if (total == 0 || slots == 0) return std::nullopt;
  const uint64_t left = total - std::min(total, done);
  if (const std::optional<Pace> own = PaceOf(job, soft); own.has_value()) {
    return RunOf(job, left, *own, slots, job);
  }
  const auto model = state.index.ran.find(WorkKey(job.spec(), job.resolved()));
  if (model == state.index.ran.end()) return std::nullopt;
  const auto alike = model->second.find(slots);
  if (alike == model->second.end()) return std::nullopt;
  int looks = 0;
  for (auto next = alike->second.rbegin(); next != alike->second.rend() && ++looks <= kMostAlike; ++next) {
    const StoredJob& other = state.jobs.at(next->second).job();
    if (other.id() == job.id() || !DoSameWork(job, other)) continue;
    const std::optional<Pace> pace = PaceOf(other, soft);
    if (!pace.has_value()) continue;
    if (const auto run = RunOf(job, left, *pace, slots, other); run.has_value()) return run;
  }
  return std::nullopt;
}

}  // namespace muster
