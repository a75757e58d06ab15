#include "client/commands/eval_results.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace muster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

EvaluatedJob Evaluated(const std::string& dataset, double ndcg) {
  EvaluatedJob one;
  one.job.set_id("job-" + dataset);
  one.job.set_phase(muster::v1::JOB_PHASE_SUCCEEDED);
  one.job.mutable_spec()->mutable_report()->set_dataset(dataset);
  one.job.mutable_spec()->mutable_report()->set_split("test");
  muster::v1::Evaluation& evaluation = *one.job.add_evaluations();
  (*evaluation.mutable_metrics())["ndcg@10"] = ndcg;
  (*evaluation.mutable_metrics())["precision@5"] = ndcg / 2;
  evaluation.set_queries(3);
  evaluation.set_documents(5183);
  one.intervals = {{"ndcg@10", {ndcg - 0.1, ndcg + 0.1}}, {"precision@5", {0, 1}}};
  return one;
}

TEST(EvaluationTable, HasTheMeanOnlyIfEveryDatasetHasAValue) {
  std::vector<EvaluatedJob> jobs = {Evaluated("a", 0.5), Evaluated("b", 0.25)};
  EXPECT_EQ(EvaluationTable(jobs),
            "DATASET  QUERIES  DOCUMENTS  ndcg@10  precision@5  JOB\n"
            "a/test   3        5,183      0.5000   0.2500       job-a\n"
            "b/test   3        5,183      0.2500   0.1250       job-b\n"
            "mean                         0.3750   0.1875\n");
  jobs[1].job.clear_evaluations();
  jobs[1].job.set_phase(muster::v1::JOB_PHASE_FAILED);
  EXPECT_THAT(EvaluationTable(jobs), Not(HasSubstr("mean")));
}

TEST(IntervalTable, HasARowPerMetricAndDatasetWithAnInterval) {
  std::vector<EvaluatedJob> jobs = {Evaluated("a", 0.5), Evaluated("b", 0.25)};
  jobs[1].intervals.erase("precision@5");
  EXPECT_EQ(IntervalTable(jobs),
            "METRIC       MEAN    LOW     HIGH    QUERIES  DATASET\n"
            "ndcg@10      0.5000  0.4000  0.6000  3        a/test\n"
            "ndcg@10      0.2500  0.1500  0.3500  3        b/test\n"
            "precision@5  0.2500  0.0000  1.0000  3        a/test\n");
  for (EvaluatedJob& one : jobs) one.intervals.clear();
  EXPECT_EQ(IntervalTable(jobs), "");
}

TEST(EvaluationsJson, HasMetricsAndIntervalsOfEachDataset) {
  const auto json = EvaluationsJson("minilm", {Evaluated("a", 0.5), Evaluated("b", 0.25)});
  EXPECT_EQ(json["model"], "minilm");
  EXPECT_EQ(json["means"]["ndcg@10"], 0.375);
  EXPECT_EQ(json["evaluations"][1]["dataset"], "b");
  EXPECT_EQ(json["evaluations"][1]["metrics"]["ndcg@10"], 0.25);
  EXPECT_EQ(json["evaluations"][0]["intervals"]["precision@5"]["high"], 1);
  std::vector<std::string> metrics;
  for (const auto& [metric, value] : json["evaluations"][0]["intervals"].items()) metrics.push_back(metric);
  EXPECT_THAT(metrics, ElementsAre("ndcg@10", "precision@5"));
}

}  // namespace
}  // namespace muster
