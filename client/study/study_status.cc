#include "client/study/study_status.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/output.h"
#include "client/progress.h"
#include "client/words.h"

namespace muster {
namespace {

using muster::v1::JobPhase;
using muster::v1::JobSummary;

// The job that counts comes first.
auto RankOf(const JobSummary& job) {
  const int kind = job.phase() == muster::v1::JOB_PHASE_SUCCEEDED ? 0 : IsOver(job.phase()) ? 2 : 1;
  return std::tuple(kind, job.submitted().seconds(), job.submitted().nanos(), job.id());
}

bool IsWaiting(JobPhase phase) {
  return phase == muster::v1::JOB_PHASE_QUEUED || phase == muster::v1::JOB_PHASE_RESERVING ||
         phase == muster::v1::JOB_PHASE_PAUSED;
}

double StepsDone(const CellJob& cell) {
  if (!cell.job.has_value()) return 0;
  return static_cast<double>(IsOver(cell.job->phase()) ? cell.job->total_steps() : cell.job->step());
}

}  // namespace

std::vector<CellJob> MatchJobs(const StudyFile& study, absl::Span<const JobSummary> jobs) {
  std::map<std::string, size_t> cells;
  for (size_t c = 0; c < study.cells.size(); ++c) cells.emplace(study.cells[c].job_name, c);
  std::vector<CellJob> matched(study.cells.size());
  for (const JobSummary& job : jobs) {
    const auto found = cells.find(job.name());
    if (found == cells.end()) continue;
    CellJob& cell = matched[found->second];
    cell.ended += IsOver(job.phase()) && job.phase() != muster::v1::JOB_PHASE_SUCCEEDED;
    if (!cell.job.has_value() || RankOf(job) < RankOf(*cell.job)) cell.job = job;
  }
  return matched;
}

StudyCounts CountCells(absl::Span<const CellJob> cells) {
  StudyCounts counts;
  for (const CellJob& cell : cells) {
    if (!cell.job.has_value()) {
      ++counts.to_submit;
    } else if (cell.job->phase() == muster::v1::JOB_PHASE_SUCCEEDED) {
      ++counts.done;
    } else if (IsOver(cell.job->phase())) {
      ++counts.failed;
    } else {
      ++(IsWaiting(cell.job->phase()) ? counts.waiting : counts.running);
    }
  }
  return counts;
}

std::set<size_t> FailedCells(absl::Span<const CellJob> cells) {
  std::set<size_t> failed;
  for (size_t c = 0; c < cells.size(); ++c) {
    const bool succeeded = cells[c].job.has_value() && cells[c].job->phase() == muster::v1::JOB_PHASE_SUCCEEDED;
    if (cells[c].job.has_value() && !succeeded && IsOver(cells[c].job->phase())) failed.insert(c);
  }
  return failed;
}

std::vector<size_t> CellsToSubmit(const StudyFile& study, absl::Span<const CellJob> cells, size_t parallel,
                                  const std::set<size_t>& retry) {
  std::vector<size_t> chosen;
  const size_t seeds = study.seeds.size(), unfinished = CountCells(cells).unfinished();
  for (size_t s = 0; s < seeds; ++s) {
    for (size_t a = 0; a < study.arms.size(); ++a) {
      if (parallel > 0 && unfinished + chosen.size() >= parallel) return chosen;
      const size_t c = a * seeds + s;
      if (!cells[c].job.has_value() || retry.contains(c)) chosen.push_back(c);
    }
  }
  return chosen;
}

std::optional<absl::Duration> TimeLeft(absl::Span<const CellJob> cells, absl::Time now) {
  double done = 0, known = 0, total = 0;
  absl::Time first = now;
  for (const CellJob& cell : cells) {
    if (!cell.job.has_value() || cell.job->total_steps() == 0) continue;
    ++known;
    total += static_cast<double>(cell.job->total_steps());
    done += StepsDone(cell);
    first = std::min(first, absl::FromUnixSeconds(cell.job->submitted().seconds()));
  }
  if (done == 0 || now <= first) return std::nullopt;
  // Jobs that are not submitted yet are assumed to have as many steps as the others on average.
  const double all = total * static_cast<double>(cells.size()) / known;
  return (now - first) * ((all - done) / done);
}

std::string StudySummary(absl::Span<const CellJob> cells, absl::Time now) {
  const StudyCounts counts = CountCells(cells);
  std::string text = absl::StrCat(counts.done, " of ", Plural(counts.total(), "job"), " done, ", counts.running, " running, ",
                                  counts.waiting, " waiting, ", counts.to_submit, " to submit, ", counts.failed, " failed");
  if (counts.done + counts.failed == counts.total()) return text;
  if (const auto left = TimeLeft(cells, now); left.has_value()) {
    absl::StrAppend(&text, ", about ", DurationText(absl::ToDoubleSeconds(*left)), " left");
  }
  return text;
}

std::string StudyTable(const StudyFile& study, absl::Span<const CellJob> cells, int columns) {
  Table table({"ARM", "TO SUBMIT", "WAITING", "RUNNING", "DONE", "FAILED", "STEPS"});
  const size_t seeds = study.seeds.size();
  for (size_t a = 0; a < study.arms.size(); ++a) {
    const absl::Span<const CellJob> of_arm = cells.subspan(a * seeds, seeds);
    const StudyCounts counts = CountCells(of_arm);
    double done = 0, total = 0;
    for (const CellJob& cell : of_arm) {
      done += StepsDone(cell);
      if (cell.job.has_value()) total += static_cast<double>(cell.job->total_steps());
    }
    // The share over all seeds, including those that are not submitted yet.
    const double share =
        total > 0 ? done / total * static_cast<double>(seeds - counts.to_submit) / static_cast<double>(seeds) : 0;
    table.Add({study.arms[a].label, absl::StrCat(counts.to_submit), absl::StrCat(counts.waiting), absl::StrCat(counts.running),
               absl::StrCat(counts.done), absl::StrCat(counts.failed), absl::StrFormat("%.0f %%", 100 * share)});
  }
  return table.Text(columns);
}

nlohmann::ordered_json StudyJson(const StudyFile& study, absl::Span<const CellJob> cells) {
  nlohmann::ordered_json jobs = nlohmann::ordered_json::array();
  for (size_t c = 0; c < cells.size(); ++c) {
    const StudyCell& cell = study.cells[c];
    nlohmann::ordered_json job = {{"arm", study.arms[cell.arm].label},
                                  {"seed", cell.seed},
                                  {"name", cell.job_name},
                                  {"id", nullptr},
                                  {"phase", nullptr},
                                  {"step", 0},
                                  {"total_steps", 0}};
    if (const auto& found = cells[c].job; found.has_value()) {
      job["id"] = found->id();
      job["phase"] = muster::v1::JobPhase_Name(found->phase());
      job["step"] = found->step();
      job["total_steps"] = found->total_steps();
    }
    jobs.push_back(std::move(job));
  }
  const StudyCounts counts = CountCells(cells);
  return {{"study", study.name}, {"to_submit", counts.to_submit}, {"waiting", counts.waiting}, {"running", counts.running},
          {"done", counts.done}, {"failed", counts.failed},       {"jobs", std::move(jobs)}};
}

}  // namespace muster
