#include "client/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/output.h"
#include "client/words.h"
#include "common/retrieval/metric_name.h"

namespace muster {
namespace {

using muster::v1::Evaluation;
using muster::v1::Job;
using muster::v1::JobPhase;
using muster::v1::Progress;

constexpr absl::Duration kBetweenLines = absl::Milliseconds(950);

std::string LossText(double loss) { return absl::StrFormat("loss %.4f", loss); }

std::string StageText(const Progress& progress) { return absl::StrCat("stage ", progress.stage(), "/", progress.stages()); }

std::string RateText(const Progress& progress) {
  return absl::StrFormat("%.*f queries/s", progress.queries_per_second() < 10 ? 1 : 0, progress.queries_per_second());
}

std::string EtaText(const Progress& progress) { return absl::StrCat("ETA ", DurationText(progress.eta_seconds())); }

bool HasSteps(const Progress& progress) { return progress.step() > 0; }

// Eighths of a cell: the finest steps that a terminal can show.
std::string Bar(double share, int cells) {
  static const char* const kParts[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int eighths = static_cast<int>(std::clamp(share, 0.0, 1.0) * cells * 8);
  std::string bar;
  for (int i = 0; i < eighths / 8; ++i) bar += "█";
  bar += kParts[eighths % 8];
  const int used = eighths / 8 + (eighths % 8 != 0 ? 1 : 0);
  return bar + std::string(cells - used, ' ');
}

const Evaluation* LastLabelled(const Job& job, const std::string& label) {
  const Evaluation* found = nullptr;
  for (const Evaluation& evaluation : job.evaluations()) {
    if (evaluation.label() == label) found = &evaluation;
  }
  return found;
}

}  // namespace

std::vector<std::string> OrderedMetricNames(const Evaluation& evaluation) {
  std::vector<std::string> names;
  for (const auto& [name, value] : evaluation.metrics()) names.push_back(name);
  std::sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) { return ComesBefore(a, b); });
  return names;
}

ProgressStyle StyleOf(FILE* stream) {
  ProgressStyle style;
  style.terminal = isatty(fileno(stream)) != 0;
  const char* no_color = std::getenv("NO_COLOR");  // https://no-color.org: set and not empty
  style.color = style.terminal && (no_color == nullptr || *no_color == '\0');
  if (const int columns = ColumnsOfTerminal(stream); columns > 0) style.width = columns;
  return style;
}

std::string ProgressBar(const Progress& progress, const ProgressStyle& style) {
  const std::string activity = progress.activity().empty() ? "training" : progress.activity();
  const bool training = activity == "training";
  const double share = training && progress.total_steps() > 0
                           ? static_cast<double>(progress.step()) / static_cast<double>(progress.total_steps())
                           : progress.done();
  std::vector<std::string> facts = {absl::StrFormat("%3.0f %%", 100 * share)};
  if (training && HasSteps(progress)) {
    facts.push_back(absl::StrCat("step ", progress.step(), "/", progress.total_steps()));
    if (progress.stages() > 0) facts.push_back(StageText(progress));
    facts.push_back(LossText(progress.loss()));
    facts.push_back(RateText(progress));
    facts.push_back(EtaText(progress));
  }
  // Leaves out parts that do not fit, from the end. The bar fills the remaining 5 to 30 columns.
  constexpr int kLeastBar = 5, kMostBar = 30;
  std::string tail;
  for (const std::string& fact : facts) {
    if (static_cast<int>(activity.size() + tail.size() + fact.size()) + 4 + kLeastBar > style.width) break;
    tail += "  " + fact;
  }
  const int cells = std::min<int>(kMostBar, style.width - static_cast<int>(activity.size() + tail.size()) - 2);
  if (cells < kLeastBar) return (activity + tail).substr(0, style.width);
  const std::string bar = Bar(share, cells);
  return absl::StrCat(activity, "  ", style.color ? absl::StrCat("\033[36m", bar, "\033[0m") : bar, tail);
}

std::string ProgressLine(const Progress& progress) {
  const bool training = progress.activity().empty() || progress.activity() == "training";
  if (!HasSteps(progress)) {
    return absl::StrFormat("%s  %.0f %%", progress.activity().empty() ? "starting" : progress.activity(),
                           100 * progress.done());
  }
  const std::string step = absl::StrCat("step ", progress.step(), "/", progress.total_steps());
  if (!training) return absl::StrFormat("%s  %s  %.0f %%", step, progress.activity(), 100 * progress.done());
  const std::string stage = progress.stages() > 0 ? absl::StrCat("  ", StageText(progress)) : "";
  return absl::StrFormat("%s%s  epoch %.2f  %s  learning rate %.3g  %s  %s", step, stage, progress.epoch(),
                         LossText(progress.loss()), progress.learning_rate(), RateText(progress), EtaText(progress));
}

std::string EvaluationLine(const Evaluation& evaluation) {
  std::string line = absl::StrCat(evaluation.label(), ":");
  for (const std::string& name : OrderedMetricNames(evaluation)) {
    absl::StrAppendFormat(&line, "  %s %.4f", name, evaluation.metrics().at(name));
  }
  absl::StrAppend(&line, "  (", evaluation.dataset(), "/", evaluation.split(), ", ",
                  Plural(evaluation.queries(), "query"), ", ", Plural(evaluation.documents(), "document"), ", ",
                  DurationText(evaluation.seconds()), ")");
  return line;
}

std::string BeforeAfterTable(const Job& job) {
  const Evaluation* before = LastLabelled(job, "untrained");
  const Evaluation* after = LastLabelled(job, "trained");
  if (before == nullptr || after == nullptr) return "";
  Table table({absl::StrCat(after->dataset(), "/", after->split()), "untrained", "trained", "change"});
  for (const std::string& name : OrderedMetricNames(*after)) {
    const auto old = before->metrics().find(name);
    if (old == before->metrics().end()) continue;
    const double now = after->metrics().at(name);
    table.Add({name, absl::StrFormat("%9.4f", old->second), absl::StrFormat("%7.4f", now),
               absl::StrFormat("%+.4f", now - old->second)});
  }
  return table.Text();
}

bool IsOver(JobPhase phase) {
  return phase == muster::v1::JOB_PHASE_SUCCEEDED || phase == muster::v1::JOB_PHASE_FAILED ||
         phase == muster::v1::JOB_PHASE_CANCELLED;
}

std::string PhaseText(const Job& job) {
  const std::string word = WordOf(job.phase());
  if (absl::StartsWith(job.reason(), word)) return job.reason();
  return absl::StrCat(word, job.reason().empty() ? "" : ": ", job.reason());
}

int RewrittenLine::Width() {
  if (const int columns = fileno(out_) >= 0 ? ColumnsOfTerminal(out_) : 0; columns > 0) width_ = columns;
  return width_;
}

void RewrittenLine::Draw(const std::string& line) {
  Clear();
  absl::FPrintF(out_, "%s", line);
  columns_ = ColumnsOf(line);
}

void RewrittenLine::Clear() {
  if (columns_ == 0) return;
  const int wrapped = (columns_ - 1) / std::max(Width(), 1);  // lines above the cursor's
  absl::FPrintF(out_, "\r");
  if (wrapped > 0) absl::FPrintF(out_, "\033[%dA", wrapped);
  absl::FPrintF(out_, "%s", wrapped > 0 ? "\033[J" : "\033[K");
  columns_ = 0;
}

void ProgressPrinter::Update(const Job& job, absl::Duration now) {
  const Progress& progress = job.progress();
  const bool active = job.phase() == muster::v1::JOB_PHASE_TRAINING;
  const bool over = IsOver(job.phase());
  PrintEndedAttempts(job);
  PrintEvaluations(job, now);
  if (!style_.terminal && job.has_progress() && (active || over)) {
    const bool new_step = progress.step() != step_shown_;
    const bool new_activity = progress.activity() != activity_shown_;
    const bool may_print = now - last_line_ >= kBetweenLines;
    // The last step is always shown; in between about one line per second.
    if (new_step && (over || may_print)) {
      PrintStep(progress, now);
    } else if (active && new_activity && may_print) {
      PrintLine(ProgressLine(progress));
      activity_shown_ = progress.activity();
      last_line_ = now;
    }
  }
  const std::string phase = PhaseText(job);
  if (phase != phase_shown_) PrintLine(phase);
  phase_shown_ = phase;
  reason_shown_ = job.reason();
  first_ = false;
  if (style_.terminal && active && job.has_progress()) {
    style_.width = bar_.Width();
    bar_.Draw(ProgressBar(progress, style_));
  }
  std::fflush(out_);
}

// The figures of the last step, whatever the ranks are doing now.
void ProgressPrinter::PrintStep(const Progress& progress, absl::Duration now) {
  Progress trained = progress;
  trained.set_activity("training");
  PrintLine(ProgressLine(trained));
  activity_shown_ = "training";
  step_shown_ = progress.step();
  last_line_ = now;
}

// An evaluation measures the steps before it, so show its step first, even if the last line is recent.
void ProgressPrinter::PrintEvaluations(const Job& job, absl::Duration now) {
  for (const Evaluation& evaluation : job.evaluations()) {  // the job may have dropped older ones
    if (!evaluations_shown_.insert({evaluation.label(), evaluation.dataset(), evaluation.split()}).second) continue;
    if (!style_.terminal && evaluation.step() > step_shown_ && job.progress().step() == evaluation.step()) {
      PrintStep(job.progress(), now);
    }
    PrintLine(EvaluationLine(evaluation));
  }
}

// The next attempt follows a failed one within milliseconds, so the phase between them is rarely seen.
void ProgressPrinter::PrintEndedAttempts(const Job& job) {
  for (const muster::v1::AttemptInfo& attempt : job.attempts()) {
    std::string& shown = ends_shown_[attempt.number()];
    if (attempt.end_reason() == shown) continue;
    shown = attempt.end_reason();
    const bool said_by_the_phase = shown == job.reason() || shown == reason_shown_ || IsOver(job.phase());
    if (!first_ && !said_by_the_phase) PrintLine(absl::StrCat("attempt ", attempt.number(), " ended: ", shown));
  }
}

void ProgressPrinter::Note(const std::string& line) {
  PrintLine(line);
  std::fflush(out_);
}

void ProgressPrinter::PrintLine(const std::string& line) {
  bar_.Clear();
  absl::FPrintF(out_, "%s\n", line);
}

}  // namespace muster
