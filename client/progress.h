// What a person sees of a running job: a bar on a terminal, plain lines in a pipe.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "muster/v1/job.pb.h"

namespace muster {

struct ProgressStyle {
  bool terminal = false;  // rewrite one line; otherwise append lines, about one a second
  bool colour = false;
  int width = 80;  // columns of the terminal
};
// Of a stream of this process: a terminal or not, its width, NO_COLOR.
ProgressStyle StyleOf(FILE* stream);

// "training  ███████▏      42 %  step 50/120  loss 1.2345  310 queries/s  ETA 1:05", at most `style.width` columns.
std::string ProgressBar(const muster::v1::Progress& progress, const ProgressStyle& style);
// "step 50/120  epoch 0.42  loss 1.2345  learning rate 1.8e-05  310 queries/s  ETA 1:05"
std::string ProgressLine(const muster::v1::Progress& progress);
// "untrained: ndcg@10 0.1234  mrr 0.2345  (scifact/test, 300 queries, 5,183 documents, 12 s)"
std::string EvaluationLine(const muster::v1::Evaluation& evaluation);
// Names of its metrics: ndcg before mrr, map and recall; small cutoffs first; unknown names last.
std::vector<std::string> OrderedMetricNames(const muster::v1::Evaluation& evaluation);
// Metrics before → after: a table of the evaluations labelled untrained and trained; "" unless there are both.
std::string BeforeAfterTable(const muster::v1::Job& job);

bool IsOver(muster::v1::JobPhase phase);

// Turns successive states of one job into output. Every evaluation and every change of phase is shown once.
class ProgressPrinter {
 public:
  ProgressPrinter(FILE* out, ProgressStyle style) : out_(out), style_(style) {}
  void Update(const muster::v1::Job& job, absl::Duration now);  // now: a monotonic clock's
  void Note(const std::string& line);                           // a line of its own, such as "reconnecting"

 private:
  void PrintLine(const std::string& line);
  void ClearBar();

  FILE* out_;
  ProgressStyle style_;
  bool bar_shown_ = false;
  size_t evaluations_shown_ = 0;
  std::string phase_shown_;
  uint64_t step_shown_ = 0;
  std::string activity_shown_;
  absl::Duration last_line_ = -absl::InfiniteDuration();
};

}  // namespace muster
