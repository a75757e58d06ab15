#include "client/report/job_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/report/job_figures.h"
#include "client/report/page.h"
#include "client/report/settings.h"

namespace muster {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using muster::v1::Evaluation;

const ReportStamp kStamp = {.version = "1.2.3", .time = "2026-01-31 12:00:00 UTC"};

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t found = text.find(part); found != std::string::npos; found = text.find(part, found + 1)) ++count;
  return count;
}

std::string LogOf(int steps) {
  std::string csv = "step,attempt,loss,learning_rate,gradient_norm,mean_positive,mean_negative,positive_entropy,"
                    "queries_per_second,seconds,data_seconds,encode_seconds,gather_seconds,loss_seconds,backward_seconds,"
                    "reduce_seconds,optimise_seconds\n";
  for (int i = 1; i <= steps; ++i) {
    const double noise = std::sin(i * 12.9898) * 0.2;
    absl::StrAppendFormat(&csv,
                          "%d,1,%.17g,%.17g,%.17g,%.17g,%.17g,%.17g,%.3f,%.6f,0.01,0.2,0.03,0.04,0.3,0.02,0.01\n", i,
                          3.0 / (1 + i * 0.01) + noise, 2e-5 * i / steps, 0.5 + noise, 0.6 + noise / 4, 0.2 + noise / 4,
                          1.1 + noise, 50 + noise, 0.7 + noise / 9);
  }
  return csv;
}

void Add(muster::v1::Job& job, const std::string& label, uint64_t step, const std::string& split, double ndcg) {
  Evaluation& evaluation = *job.add_evaluations();
  evaluation.set_label(label);
  evaluation.set_step(step);
  evaluation.set_dataset(split == "test" ? job.spec().report().dataset() : job.spec().evaluate().dataset());
  evaluation.set_split(split);
  (*evaluation.mutable_metrics())["ndcg@10"] = ndcg;
  (*evaluation.mutable_metrics())["mrr"] = ndcg / 2;
  evaluation.set_queries(300);
  evaluation.set_documents(5183);
}

// A job with every text set to something with `text` in it.
ReportedJob JobWith(const std::string& text, int steps = 40) {
  ReportedJob one;
  one.job.set_id("k3v9x0qa");
  one.job.set_owner("ada" + text);
  one.job.set_reason("reason" + text);
  one.job.set_phase(muster::v1::JOB_PHASE_SUCCEEDED);
  auto& spec = *one.job.mutable_spec();
  spec.set_name("first" + text);
  spec.mutable_model()->set_from("minilm" + text);
  spec.mutable_model()->mutable_prompts()->set_query("query" + text);
  spec.mutable_data()->set_train("facets" + text);
  spec.mutable_evaluate()->set_dataset("scifact" + text);
  spec.mutable_evaluate()->set_metric("ndcg@10");
  spec.mutable_report()->set_dataset("scifact" + text);
  one.job.mutable_resolved()->set_train_dataset(std::string(64, 'a'));
  one.job.mutable_resolved()->set_evaluate_dataset(std::string(64, 'b'));
  one.job.mutable_resolved()->set_report_dataset(std::string(64, 'b'));
  one.job.mutable_resolved()->set_model_manifest(std::string(64, 'c'));
  for (const uint32_t number : {1u, 2u}) {
    auto& attempt = *one.job.add_attempts();
    attempt.set_number(number);
    attempt.set_from_step(number == 1 ? 0 : 20);
    attempt.set_end_reason("end" + text);
    attempt.add_ranks()->set_worker("w" + text);
  }
  Add(one.job, "untrained", 0, "test", 0.5);
  Add(one.job, "step-20" + text, 20, "dev", 0.55);
  Add(one.job, "step-40" + text, 40, "dev", 0.6);
  Add(one.job, "trained", 40, "test", 0.7);
  one.steps = *StepTable::FromStepLog(LogOf(steps));
  one.steps_note = "steps" + text;
  one.job_file = JobFileOf(spec);
  one.datasets = DatasetsOf(one.job);
  one.datasets[0].report.emplace().mutable_dataset()->set_name("facets" + text);
  one.datasets[0].report->add_notes("note" + text);
  one.datasets[1].note = "gone" + text;
  one.notes = {"missing" + text};
  return one;
}

// No request, and no script except the page's own. The browser test checks the same.
void ExpectClosed(const std::string& html) {
  EXPECT_THAT(html, AllOf(StartsWith("<!DOCTYPE html>"), EndsWith("</html>\n")));
  EXPECT_EQ(Count(html, "<script"), 1u);
  for (const char* foreign : {"http:", "https:", "src=", "@import", "url(", "onload", "onclick", "javascript:", "<iframe"}) {
    EXPECT_THAT(html, Not(HasSubstr(foreign)));
  }
  EXPECT_THAT(html, HasSubstr("default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-"));
}

TEST(JobReportHtml, ShowsWhatThereIsOfAJob) {
  const std::string html = JobReportHtml(JobWith(""), {}, kStamp);
  ExpectClosed(html);
  for (const char* figure : {"Loss", "Gradient weight over positives", "Similarity", "Gradient norm", "Learning rate",
                             "Seconds per step by phase", "Speed", "ndcg@10", "mrr"}) {
    EXPECT_THAT(html, HasSubstr(absl::StrCat("<figcaption><strong>", figure, "</strong>")));
  }
  EXPECT_THAT(html, HasSubstr("<tr><th>metric</th><th>untrained</th><th>trained</th><th>change</th></tr>"));
  EXPECT_THAT(html, HasSubstr("<tr><td>ndcg@10</td><td>0.5000</td><td>0.7000</td><td>+0.2000</td></tr>"));
  EXPECT_THAT(html, HasSubstr("scifact/test: 300 queries, 5,183 documents"));
  EXPECT_THAT(html, HasSubstr("<tr><td>encode</td><td>8.0</td><td>"));
  EXPECT_THAT(html, HasSubstr("<title>attempt 2 continues from step 20</title>"));
  EXPECT_THAT(html, HasSubstr("cat &gt; first.yaml &lt;&lt;&#39;END_OF_JOB&#39;\nname: first\n"));
  EXPECT_THAT(html, HasSubstr("\nEND_OF_JOB\nmuster submit first.yaml --wait\n"));
  EXPECT_THAT(html, HasSubstr(std::string(64, 'c')));
  EXPECT_THAT(html, HasSubstr("Made by muster 1.2.3 on 2026-01-31 12:00:00 UTC"));
  EXPECT_EQ(html, JobReportHtml(JobWith(""), {}, kStamp)) << "the same job gives the same bytes";
}

TEST(JobReportHtml, ShowsEachTrainingSetAndItsDatasetOnce) {
  ReportedJob one = JobWith("");
  auto& data = *one.job.mutable_spec()->mutable_data();
  data.clear_train();
  using Named = std::pair<const char*, const char*>;
  for (const auto& [dataset, split] : {Named("facets", "train"), Named("scifact", "train"), Named("facets", "dev")}) {
    auto& set = *data.add_sets();
    set.set_dataset(dataset);
    set.set_split(split);
    set.set_weight(2);
  }
  one.job.mutable_resolved()->clear_train_dataset();
  for (const char digest : {'a', 'b', 'a'}) one.job.mutable_resolved()->add_train_datasets(std::string(64, digest));
  one.job.mutable_resolved()->set_train_queries(80);
  one.datasets = DatasetsOf(one.job);
  ASSERT_EQ(one.datasets.size(), 2u);
  EXPECT_EQ(one.datasets[0].roles, "train");
  EXPECT_EQ(one.datasets[1].roles, "train, evaluate, report");
  EXPECT_THAT(JobReportHtml(one, {}, kStamp), HasSubstr("facets/train x 2, scifact/train x 2, facets/dev x 2, 80 queries"));
}

TEST(JobReportHtml, RunsNothingThatAJobContains) {
  const std::string evil = "</title></style></pre><script>alert(1)</script><img src=x onerror=alert(2)>\"'\nEND_OF_JOB\n"
                           "rm -rf /tmp/x\n";
  for (const std::string& html : {JobReportHtml(JobWith(evil), {}, kStamp),
                                  ComparisonReportHtml(std::vector<ReportedJob>{JobWith(evil), JobWith(evil)}, {}, kStamp)}) {
    EXPECT_EQ(Count(html, "<script"), 1u);
    EXPECT_EQ(Count(html, "<img"), 0u);
    EXPECT_EQ(Count(html, "</pre>"), Count(html, "<pre>"));
    EXPECT_THAT(html, HasSubstr("cat &gt; job.yaml")) << "no file gets such a name";
    // What is copied into a shell: the here-document ends once, where it should.
    const size_t begin = html.find("cat &gt; job.yaml");
    const std::string commands = html.substr(begin, html.find("</code>", begin) - begin);
    EXPECT_EQ(Count(commands, "\nEND_OF_JOB\n"), 1u) << commands;
    EXPECT_EQ(Count(commands, "\nrm"), 0u);
  }
}

TEST(JobReportHtml, OfTenThousandStepsIsBelowTwoMegabytes) {
  const std::string html = JobReportHtml(JobWith("", 10'000), {}, kStamp);
  EXPECT_LT(html.size(), 2'000'000u);
  EXPECT_GT(html.size(), 100'000u);
  EXPECT_THAT(html, HasSubstr("Each point is the mean of 20 steps"));
  EXPECT_THAT(html, Not(HasSubstr("nan")));
  std::cout << html.size() << " bytes\n";
}

TEST(JobReportHtml, OfAJobThatHasNotBegunSaysSo) {
  ReportedJob waiting;
  waiting.job.set_id("k3v9x0qa");
  waiting.job.mutable_spec()->set_name("first");
  waiting.job.set_phase(muster::v1::JOB_PHASE_QUEUED);
  waiting.steps_note = "The job has reported no step.";
  const std::string html = JobReportHtml(waiting, {}, kStamp);
  ExpectClosed(html);
  EXPECT_THAT(html, HasSubstr("queued"));
  EXPECT_THAT(html, HasSubstr("The job has reported no step."));
  EXPECT_THAT(html, Not(HasSubstr("<svg")));
}

TEST(JobReportHtml, OfAnEvaluationJobShowsItsMetrics) {
  ReportedJob job;
  job.job.set_id("k3v9x0qa");
  job.job.mutable_spec()->mutable_report()->set_dataset("scifact");
  Add(job.job, "minilm", 0, "test", 0.64);
  const std::string html = JobReportHtml(job, {}, kStamp);
  EXPECT_THAT(html, HasSubstr("<tr><th>metric</th><th>minilm</th></tr>\n<tr><td>ndcg@10</td><td>0.6400</td></tr>"));
}

TEST(ComparisonReportHtml, NamesTheSettingsThatDifferAndTheFinalMetrics) {
  std::vector<ReportedJob> jobs = {JobWith(""), JobWith("")};
  jobs[1].job.set_id("b81zw2mm");
  jobs[1].job.mutable_spec()->set_name("second");
  jobs[1].job.mutable_spec()->mutable_loss()->set_temperature(0.02F);
  (*jobs[1].job.mutable_evaluations(3)->mutable_metrics())["ndcg@10"] = 0.75;
  const std::string html = ComparisonReportHtml(jobs, {}, kStamp);
  ExpectClosed(html);
  EXPECT_THAT(html, HasSubstr("<tr><td>loss.temperature</td><td>not set</td><td>0.02</td></tr>"));
  EXPECT_THAT(html, HasSubstr("<tr><td>scifact/test</td><td>ndcg@10</td><td>0.7000 (trained)</td><td>0.7500 (trained)</td>"));
  EXPECT_THAT(html, HasSubstr("<li><i class=\"c1\"></i>second</li>"));
  // The same name for different data is not the same set.
  jobs[1].job.mutable_resolved()->set_report_dataset(std::string(64, 'd'));
  jobs[1].job.mutable_resolved()->set_evaluate_dataset(std::string(64, 'd'));
  const std::string other = ComparisonReportHtml(jobs, {}, kStamp);
  EXPECT_THAT(other, HasSubstr("<td>scifact/test (bbbbbbbbbbbb)</td><td>ndcg@10</td><td>0.7000 (trained)</td><td></td>"));
  EXPECT_THAT(other, HasSubstr("<td>scifact/test (dddddddddddd)</td><td>ndcg@10</td><td></td><td>0.7500 (trained)</td>"));
}

TEST(ComparisonReportHtml, OfManyLongJobsIsBelowTwoMegabytes) {
  std::vector<ReportedJob> jobs;
  for (int j = 0; j < kCurveColors; ++j) {
    jobs.push_back(JobWith("", 10'000));
    jobs.back().job.set_id(absl::StrCat("job", j));
  }
  const std::string html = ComparisonReportHtml(jobs, {}, kStamp);
  EXPECT_LT(html.size(), 2'000'000u);
  EXPECT_THAT(html, HasSubstr("first (job7)")) << "jobs of one name have different labels";
}

TEST(FiguresOfJob, DrawEvaluationsOfTheStepThatTheyAreOf) {
  const ReportedJob job = JobWith("");
  const std::vector<Figure> figures = FiguresOfJob(job);
  ASSERT_EQ(figures[0].title, "ndcg@10");
  ASSERT_EQ(figures[0].curves.size(), 1u) << "before and after are in a table: the best weights may be of any step";
  EXPECT_EQ(figures[0].curves[0].buckets.all.size(), 2u);
  EXPECT_EQ(figures[0].curves[0].buckets.all[0].first, 20);
}

TEST(FiguresOfJob, MarkWhereAttemptsContinueAndStagesBegin) {
  ReportedJob job = JobWith("");
  for (const uint64_t steps : {15, 25}) job.job.mutable_resolved()->add_stages()->set_steps(steps);
  const std::vector<Mark> marks = FiguresOfJob(job).back().marks;
  ASSERT_EQ(marks.size(), 2u);
  EXPECT_EQ(marks[0].x, 15.5);
  EXPECT_EQ(marks[0].text, "stage 2 begins after step 15");
  EXPECT_EQ(marks[1].x, 20);
}

TEST(FiguresOfJob, HideTheWeightOverPositivesWhereThereIsNothingToShare) {
  ReportedJob job = JobWith("");
  job.steps = *StepTable::FromStepLog("step,loss,positive_entropy\n1,2,0\n2,1,0\n");
  for (const Figure& figure : FiguresOfJob(job)) EXPECT_NE(figure.title, "Gradient weight over positives");
}

TEST(FiguresOfJob, ShowWhereTheGradientGoesOnlyIfItIsKnown) {
  const auto titles = [](const ReportedJob& job) {
    std::vector<std::string> all;
    for (const Figure& figure : FiguresOfJob(job)) all.push_back(figure.title);
    return all;
  };
  ReportedJob job = JobWith("");
  job.steps =
      *StepTable::FromStepLog("step,loss,positive_weight_1,positive_weight_2,positive_weight_3,noise_weight\n1,2,1,0,,\n");
  EXPECT_THAT(titles(job), testing::Contains("Gradient by place of the positive"));
  EXPECT_THAT(titles(job), testing::Not(testing::Contains("Gradient on injected false positives")));
  for (const Figure& figure : FiguresOfJob(job)) {
    if (figure.title == "Gradient by place of the positive") {
      EXPECT_EQ(figure.curves.size(), 2u);
    }
  }
  job.steps = *StepTable::FromStepLog("step,loss,positive_weight_1,noise_weight\n1,2,,0.25\n");
  EXPECT_THAT(titles(job), testing::Not(testing::Contains("Gradient by place of the positive")));
  EXPECT_THAT(titles(job), testing::Contains("Gradient on injected false positives"));
}

TEST(PhaseSecondsOf, SumsUpToTheWholeSteps) {
  const StepTable steps = *StepTable::FromStepLog("step,seconds,data_seconds,encode_seconds\n1,4,1,2\n2,,,\n3,3,1,2.5\n");
  size_t counted = 0;
  const std::vector<PhaseSeconds> phases = PhaseSecondsOf(steps, counted);
  EXPECT_EQ(counted, 2u) << "step 2 has none";
  ASSERT_EQ(phases.size(), 3u);
  EXPECT_EQ(phases[0].seconds, 2);
  EXPECT_EQ(phases[1].seconds, 4.5);
  EXPECT_EQ(phases[2].phase, "other");
  EXPECT_EQ(phases[2].seconds, 1) << "phases that take longer than the step do not count below zero";
}

TEST(DatasetsOf, ListsASharedDatasetOnce) {
  const auto datasets = DatasetsOf(JobWith("").job);
  ASSERT_EQ(datasets.size(), 2u);
  EXPECT_EQ(datasets[0].roles, "train");
  EXPECT_EQ(datasets[1].roles, "evaluate, report");
}

TEST(UtcText, IsTheSameEverywhere) {
  google::protobuf::Timestamp time;
  EXPECT_EQ(UtcText(time), "-");
  time.set_seconds(1'769'860'800);
  EXPECT_EQ(UtcText(time), "2026-01-31 12:00:00 UTC");
}

}  // namespace
}  // namespace muster
