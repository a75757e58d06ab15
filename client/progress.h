// Shows a running job: a bar on a terminal, plain lines in a pipe.
#pragma once

#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/time/time.h"
#include "muster/v1/job.pb.h"

namespace muster {

struct ProgressStyle {
  bool terminal = false;  // rewrite one line; otherwise append lines, about one per second
  bool color = false;
  int width = 80;  // columns of the terminal
};
// The style for a stream of this process: terminal or not, its width, NO_COLOR.
ProgressStyle StyleOf(FILE* stream);

// The one line of a terminal that is rewritten. Reads the terminal's width at every draw, because a window may be
// resized: text drawn on a wider window has wrapped, and all of its lines are cleared.
class RewrittenLine {
 public:
  RewrittenLine(FILE* out, int width) : out_(out), width_(width) {}
  int Width();  // the present width in columns; the given one if `out` is not a terminal
  void Draw(const std::string& line);  // of at most Width() columns
  void Clear();

 private:
  FILE* out_;
  int width_;
  int columns_ = 0;  // width of the drawn line; 0: nothing is drawn
};

// "training  ███████▏      42 %  step 50/120  loss 1.2345  310 queries/s  ETA 1:05", at most `style.width` columns.
std::string ProgressBar(const muster::v1::Progress& progress, const ProgressStyle& style);
// "step 50/120  epoch 0.42  loss 1.2345  learning rate 1.8e-05  310 queries/s  ETA 1:05"; for an activity other than
// training "step 50/120  evaluating (trained)  40 %".
std::string ProgressLine(const muster::v1::Progress& progress);
// "untrained: ndcg@10 0.1234  mrr 0.2345  (scifact/test, 300 queries, 5,183 documents, 12 s)"
std::string EvaluationLine(const muster::v1::Evaluation& evaluation);
// Names of its metrics: ndcg before mrr, map and recall; small cutoffs first; unknown names last.
std::vector<std::string> OrderedMetricNames(const muster::v1::Evaluation& evaluation);
// Metrics before → after: a table of the evaluations labeled untrained and trained; "" unless there are both.
std::string BeforeAfterTable(const muster::v1::Job& job);

bool IsOver(muster::v1::JobPhase phase);
// "queued: needs 8 slots, 2 free"; "cancelled by ada", not "cancelled: cancelled by ada".
std::string PhaseText(const muster::v1::Job& job);

// Turns successive states of one job into output. Every evaluation, every change of phase and every end of an attempt
// is shown once, in the order in which they happened.
class ProgressPrinter {
 public:
  ProgressPrinter(FILE* out, ProgressStyle style) : out_(out), style_(style), bar_(out, style.width) {}
  void Update(const muster::v1::Job& job, absl::Duration now);  // now: a monotonic clock's
  void Note(const std::string& line);                           // a separate line, such as "reconnecting"

 private:
  void PrintLine(const std::string& line);
  void PrintStep(const muster::v1::Progress& progress, absl::Duration now);
  void PrintEvaluations(const muster::v1::Job& job, absl::Duration now);
  void PrintEndedAttempts(const muster::v1::Job& job);

  FILE* out_;
  ProgressStyle style_;
  RewrittenLine bar_;
  std::set<std::tuple<std::string, std::string, std::string>> evaluations_shown_;  // label, dataset, split
  std::string phase_shown_, reason_shown_;
  std::map<uint32_t, std::string> ends_shown_;  // attempt → why it ended
  bool first_ = true;
  uint64_t step_shown_ = 0;
  std::string activity_shown_;
  absl::Duration last_line_ = -absl::InfiniteDuration();
};

}  // namespace muster
