#include "client/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

namespace muster {
namespace {

using muster::v1::Evaluation;
using muster::v1::Job;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// The printed output, in memory.
class Captured {
 public:
  Captured() : file_(open_memstream(&data_, &size_)) {}
  ~Captured() {
    std::fclose(file_);
    std::free(data_);
  }
  FILE* file() { return file_; }
  std::string text() {
    std::fflush(file_);
    return std::string(data_, size_);
  }
  std::vector<std::string> lines() { return absl::StrSplit(text(), '\n', absl::SkipEmpty()); }

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
  FILE* file_;
};

Job AtStep(uint64_t step) {
  Job job;
  job.set_phase(muster::v1::JOB_PHASE_TRAINING);
  auto& progress = *job.mutable_progress();
  progress.set_activity("training");
  progress.set_step(step);
  progress.set_total_steps(200);
  progress.set_epoch(0.5);
  progress.set_loss(1.25);
  progress.set_learning_rate(1.8e-5);
  progress.set_queries_per_second(310);
  progress.set_eta_seconds(65);
  return job;
}

Evaluation Evaluated(const std::string& label, double ndcg) {
  Evaluation evaluation;
  evaluation.set_label(label);
  evaluation.set_dataset("scifact");
  evaluation.set_split("test");
  evaluation.set_queries(300);
  evaluation.set_documents(5183);
  evaluation.set_seconds(12);
  auto& metrics = *evaluation.mutable_metrics();
  metrics["recall@100"] = 0.9;
  metrics["ndcg@10"] = ndcg;
  metrics["mrr"] = 0.5;
  return evaluation;
}

TEST(ProgressLine, HasLossRateAndEta) {
  EXPECT_EQ(ProgressLine(AtStep(50).progress()),
            "step 50/200  epoch 0.50  loss 1.2500  learning rate 1.8e-05  310 queries/s  ETA 1:05");
}

TEST(ProgressLine, TellsTheStageOfAJobThatHasSome) {
  Job job = AtStep(50);
  job.mutable_progress()->set_stage(2);
  job.mutable_progress()->set_stages(3);
  EXPECT_EQ(ProgressLine(job.progress()),
            "step 50/200  stage 2/3  epoch 0.50  loss 1.2500  learning rate 1.8e-05  310 queries/s  ETA 1:05");
  EXPECT_THAT(ProgressBar(job.progress(), {.terminal = true, .width = 120}), HasSubstr("step 50/200  stage 2/3  loss"));
}

TEST(ProgressBar, FitsItsTerminal) {
  const auto width_of = [](const std::string& text) {
    int columns = 0;
    for (const char c : text) columns += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    return columns;
  };
  for (int width = 10; width < 200; ++width) {
    EXPECT_LE(width_of(ProgressBar(AtStep(50).progress(), {.terminal = true, .width = width})), width);
  }
  const std::string bar = ProgressBar(AtStep(50).progress(), {.terminal = true, .width = 120});
  EXPECT_THAT(bar, HasSubstr(" 25 %"));
  EXPECT_THAT(bar, HasSubstr("loss 1.2500"));
  EXPECT_THAT(bar, HasSubstr("ETA 1:05"));
  EXPECT_THAT(bar, Not(HasSubstr("\033")));
  EXPECT_THAT(ProgressBar(AtStep(50).progress(), {.terminal = true, .color = true, .width = 120}),
              HasSubstr("\033[36m"));
}

TEST(EvaluationLine, PutsTheMainMetricFirst) {
  EXPECT_EQ(
      EvaluationLine(Evaluated("untrained", 0.6451)),
      "untrained:  ndcg@10 0.6451  mrr 0.5000  recall@100 0.9000  (scifact/test, 300 queries, 5,183 documents, 12 s)");
}

TEST(BeforeAfterTable, NeedsBoth) {
  Job job;
  *job.add_evaluations() = Evaluated("untrained", 0.6451);
  EXPECT_THAT(BeforeAfterTable(job), IsEmpty());
  *job.add_evaluations() = Evaluated("step-20", 0.9);
  *job.add_evaluations() = Evaluated("trained", 0.7);
  EXPECT_EQ(BeforeAfterTable(job),
            "scifact/test  untrained  trained  change\n"
            "ndcg@10          0.6451   0.7000  +0.0549\n"
            "mrr              0.5000   0.5000  +0.0000\n"
            "recall@100       0.9000   0.9000  +0.0000\n");
}

TEST(ProgressPrinter, PrintsAboutOneLinePerSecondInAPipe) {
  Captured captured;
  ProgressPrinter printer(captured.file(), {});
  for (int i = 1; i <= 40; ++i) printer.Update(AtStep(i), absl::Milliseconds(100) * i);
  Job done = AtStep(40);
  done.set_phase(muster::v1::JOB_PHASE_SUCCEEDED);
  printer.Update(done, absl::Seconds(4.01));
  printer.Update(done, absl::Seconds(4.02));
  std::vector<std::string> starts;
  for (const std::string& line : captured.lines()) starts.push_back(line.substr(0, line.find("  ")));
  EXPECT_THAT(starts, ElementsAre("step 1/200", "training", "step 11/200", "step 21/200", "step 31/200", "step 40/200",
                                  "succeeded"));
}

TEST(ProgressPrinter, ShowsEveryEvaluationOnce) {
  Captured captured;
  ProgressPrinter printer(captured.file(), {});
  Job job = AtStep(3);
  *job.add_evaluations() = Evaluated("untrained", 0.1);
  printer.Update(job, absl::Seconds(1));
  printer.Update(job, absl::Seconds(2));
  *job.add_evaluations() = Evaluated("trained", 0.2);
  printer.Update(job, absl::Seconds(3));
  int untrained = 0, trained = 0;
  for (const std::string& line : captured.lines()) {
    untrained += line.rfind("untrained:", 0) == 0;
    trained += line.rfind("trained:", 0) == 0;
  }
  EXPECT_EQ(untrained, 1);
  EXPECT_EQ(trained, 1);
}

TEST(ProgressPrinter, RewritesOneLineOnATerminal) {
  Captured captured;
  ProgressPrinter printer(captured.file(), {.terminal = true, .width = 100});
  printer.Update(AtStep(1), absl::Seconds(1));
  printer.Update(AtStep(2), absl::Seconds(1.1));
  printer.Note("the coordinator does not answer; trying again");
  EXPECT_THAT(captured.text(), HasSubstr("\r\033[K"));
  EXPECT_THAT(captured.text(), ::testing::EndsWith("\r\033[Kthe coordinator does not answer; trying again\n"));
}

TEST(ProgressPrinter, SaysWhyAJobWaits) {
  Captured captured;
  ProgressPrinter printer(captured.file(), {});
  Job job;
  job.set_phase(muster::v1::JOB_PHASE_QUEUED);
  job.set_reason("needs 3 CPU slots, 1 free");
  printer.Update(job, absl::Seconds(1));
  printer.Update(job, absl::Seconds(2));
  EXPECT_THAT(captured.lines(), ElementsAre("queued: needs 3 CPU slots, 1 free"));
}

TEST(ProgressPrinter, PrintsAStepBeforeWhatWasMeasuredAfterIt) {
  Captured captured;
  ProgressPrinter printer(captured.file(), {});
  printer.Update(AtStep(7), absl::Seconds(1));
  Job job = AtStep(8);
  job.mutable_progress()->set_total_steps(8);
  job.mutable_progress()->set_activity("evaluating (trained)");
  job.mutable_progress()->set_done(0.5);
  printer.Update(job, absl::Seconds(1.1));
  *job.add_evaluations() = Evaluated("trained", 0.2);
  job.mutable_evaluations(0)->set_step(8);
  printer.Update(job, absl::Seconds(1.2));
  job.mutable_progress()->set_activity("exporting");
  printer.Update(job, absl::Seconds(3));
  job.set_phase(muster::v1::JOB_PHASE_SUCCEEDED);
  printer.Update(job, absl::Seconds(4));
  std::vector<std::string> starts;
  for (const std::string& line : captured.lines()) starts.push_back(line.substr(0, line.find("  epoch")));
  for (std::string& start : starts) start = start.substr(0, start.find("  ndcg"));
  EXPECT_THAT(starts, ElementsAre("step 7/200", "training", "step 8/8", "trained:", "step 8/8  exporting  50 %", "succeeded"));
}

TEST(ProgressPrinter, SaysWhyAnAttemptEndedThoughTheNextRunsAlready) {
  Captured captured;
  ProgressPrinter printer(captured.file(), {});
  Job job = AtStep(3);
  job.add_attempts()->set_number(1);
  job.mutable_attempts(0)->set_end_reason("long ago");
  job.add_attempts()->set_number(2);
  printer.Update(job, absl::Seconds(1));
  job.mutable_attempts(1)->set_end_reason("rank 0 on w1 was killed by SIGKILL");
  job.add_attempts()->set_number(3);
  job.set_phase(muster::v1::JOB_PHASE_STARTING);
  printer.Update(job, absl::Seconds(2));
  printer.Update(job, absl::Seconds(3));
  EXPECT_THAT(captured.text(), HasSubstr("attempt 2 ended: rank 0 on w1 was killed by SIGKILL\n"));
  EXPECT_THAT(captured.text(), Not(HasSubstr("long ago"))) << "that was before this watch";
  EXPECT_EQ(captured.text().find("attempt 2"), captured.text().rfind("attempt 2")) << "once";
  job.mutable_attempts(2)->set_end_reason("paused by ada");
  job.set_phase(muster::v1::JOB_PHASE_PAUSED);
  job.set_reason("paused by ada");
  printer.Update(job, absl::Seconds(4));
  EXPECT_THAT(captured.text(), Not(HasSubstr("attempt 3 ended"))) << "the phase says it";
  EXPECT_THAT(captured.lines().back(), "paused by ada");
}

TEST(ProgressPrinter, ABarIsClearedAsAWholeAfterTheTerminalWasResized) {
  int terminal = 0, program = 0;
  winsize size = {};
  size.ws_row = 24;
  size.ws_col = 100;
  if (openpty(&terminal, &program, nullptr, nullptr, &size) != 0) {
    GTEST_SKIP() << "left out: there is no terminal to be had here (a root without /dev/pts): " << std::strerror(errno);
  }
  FILE* out = fdopen(program, "w");
  ProgressPrinter printer(out, {.terminal = true, .width = 100});
  printer.Update(AtStep(50), absl::Seconds(1));
  size.ws_col = 30;
  ASSERT_EQ(ioctl(program, TIOCSWINSZ, &size), 0);
  printer.Update(AtStep(51), absl::Seconds(2));
  std::fclose(out);
  std::string drawn;
  char part[512];
  for (ssize_t bytes; (bytes = read(terminal, part, sizeof(part))) > 0;) drawn.append(part, static_cast<size_t>(bytes));
  close(terminal);
  const size_t again = drawn.find("\r\033[");
  ASSERT_NE(again, std::string::npos);
  const auto columns_of = [](const std::string& text) {
    return std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
  };
  const size_t bar = drawn.rfind('\n', again) + 1;
  const std::string clear = absl::StrFormat("\r\033[%dA\033[J", (columns_of(drawn.substr(bar, again - bar)) - 1) / 30);
  EXPECT_EQ(drawn.substr(again, clear.size()), clear) << "up over all lines that the bar has by now";
  EXPECT_LE(columns_of(drawn.substr(again + clear.size())), 30) << drawn;
}

}  // namespace
}  // namespace muster
