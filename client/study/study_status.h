// Which jobs a study has, and their progress. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "client/study/study_file.h"
#include "muster/v1/job.pb.h"

namespace muster {

struct CellJob {
  std::optional<muster::v1::JobSummary> job;  // absent: not submitted
  size_t ended = 0;                           // jobs of the cell that failed or were cancelled
};

// One per cell, found by the jobs' names. If a cell has several jobs, one that succeeded counts, else one that has not
// ended, else one that ended; among equals, the one that was submitted first.
std::vector<CellJob> MatchJobs(const StudyFile& study, absl::Span<const muster::v1::JobSummary> jobs);

struct StudyCounts {
  size_t to_submit = 0, waiting = 0, running = 0, done = 0, failed = 0;  // `failed` includes cancelled jobs
  size_t total() const { return to_submit + waiting + running + done + failed; }
  size_t unfinished() const { return waiting + running; }
};
StudyCounts CountCells(absl::Span<const CellJob> cells);

// Cells whose jobs failed or were cancelled.
std::set<size_t> FailedCells(absl::Span<const CellJob> cells);
// The cells to submit now: those without a job, and `retry`, ordered by seed. `parallel`: the most unfinished jobs; 0: any
// number.
std::vector<size_t> CellsToSubmit(const StudyFile& study, absl::Span<const CellJob> cells, size_t parallel,
                                  const std::set<size_t>& retry);

// From the mean speed since the first submission. Nothing until a step is done.
std::optional<absl::Duration> TimeLeft(absl::Span<const CellJob> cells, absl::Time now);

std::string StudySummary(absl::Span<const CellJob> cells, absl::Time now);                     // one line
std::string StudyTable(const StudyFile& study, absl::Span<const CellJob> cells, int columns);  // a line per arm; columns 0: any
nlohmann::ordered_json StudyJson(const StudyFile& study, absl::Span<const CellJob> cells);

}  // namespace muster
