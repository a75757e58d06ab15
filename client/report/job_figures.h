// The figures of one job, or of several over each other. Pure.
#pragma once

#include <vector>

#include "absl/types/span.h"
#include "client/report/figure.h"
#include "client/report/reported_job.h"

namespace muster {

// What there is: metrics of evaluations during training, loss, gradient norm, learning rate, similarities, gradient weight
// over positives, seconds by phase, speed. Some may have no points (FigureHtml is "" for them).
std::vector<Figure> FiguresOfJob(const ReportedJob& job);
// At least two jobs, in the order of the colors.
std::vector<Figure> FiguresOfJobs(absl::Span<const ReportedJob> jobs);

struct PhaseSeconds {
  std::string phase;
  double seconds = 0;  // of all steps of the step log
};
// Rank 0's seconds by phase, and "other": what the whole steps took besides. Empty without a step log. `steps`: how many
// steps they are of.
std::vector<PhaseSeconds> PhaseSecondsOf(const StepTable& steps, size_t& counted);

}  // namespace muster
