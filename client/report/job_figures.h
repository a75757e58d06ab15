// The figures of one job, or of several jobs drawn over each other. Pure.
#pragma once

#include <vector>

#include "absl/types/span.h"
#include "client/report/figure.h"
#include "client/report/reported_job.h"

namespace muster {

// The job's metrics of evaluations during training, loss, gradient norm, learning rate, similarities, gradient weight over
// positives, seconds by phase, and speed. Figures without data have no points; FigureHtml returns "" for them.
std::vector<Figure> FiguresOfJob(const ReportedJob& job);
// Takes at least two jobs; job i gets color i.
std::vector<Figure> FiguresOfJobs(absl::Span<const ReportedJob> jobs);

struct PhaseSeconds {
  std::string phase;
  double seconds = 0;  // of all steps of the step log
};
// Rank 0's seconds in each phase, and in "other": the rest of the steps' time. Empty without a step log. Sets `steps` to the
// number of steps that the sums cover.
std::vector<PhaseSeconds> PhaseSecondsOf(const StepTable& steps, size_t& counted);

}  // namespace muster
