#include "client/study/cell_result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster {
namespace {

muster::v1::Job SucceededJob() {
  muster::v1::Job job;
  job.set_id("k3v9x0qa");
  job.mutable_spec()->set_name("pilot.x.0123456789");
  job.mutable_spec()->set_seed(3);
  job.mutable_spec()->mutable_duration()->set_epochs(1);
  job.set_phase(muster::v1::JOB_PHASE_SUCCEEDED);
  job.mutable_resolved()->set_report_dataset("digest");
  for (const auto& [label, value] : {std::pair("untrained", 0.2), std::pair("step-20", 0.3), std::pair("trained", 0.4)}) {
    auto& evaluation = *job.add_evaluations();
    evaluation.set_label(label);
    evaluation.set_dataset("scifact");
    evaluation.set_split("test");
    (*evaluation.mutable_metrics())["ndcg@10"] = value;
  }
  return job;
}

TEST(CellResult, HasTheTrainedAndTheUntrainedModelsMetrics) {
  const CellResult result = ResultOf(SucceededJob());
  EXPECT_TRUE(result.done);
  EXPECT_EQ(result.trained.at("ndcg@10"), 0.4);
  EXPECT_EQ(result.untrained.at("ndcg@10"), 0.2);
  EXPECT_EQ(result.dataset, "scifact");
  EXPECT_EQ(result.digest, "digest");
}

TEST(CellResult, OfAJobThatOnlyEvaluatesIsItsOneEvaluation) {
  muster::v1::Job job = SucceededJob();
  job.mutable_spec()->mutable_duration()->set_steps(0);
  job.mutable_evaluations()->DeleteSubrange(1, 2);
  job.mutable_evaluations(0)->set_label("minilm");
  EXPECT_EQ(ResultOf(job).trained.at("ndcg@10"), 0.2);
}

TEST(CellResult, DependsOnTheResultAndNotOnWhichJobMadeItWhen) {
  const muster::v1::Job job = SucceededJob();
  muster::v1::Job other = job;
  other.set_id("other");
  other.mutable_spec()->set_name("pilot.y.0123456789");
  other.mutable_spec()->set_seed(4);
  other.mutable_ended()->set_seconds(12);
  other.add_attempts();
  EXPECT_EQ(ResultOf(job).settings, ResultOf(other).settings);
  other.mutable_resolved()->set_train_dataset("replaced");
  EXPECT_NE(ResultOf(job).settings, ResultOf(other).settings);
  muster::v1::Job sets = job;
  sets.mutable_resolved()->clear_train_dataset();
  sets.mutable_resolved()->add_train_datasets("one");
  sets.mutable_resolved()->add_train_datasets("two");
  other = sets;
  EXPECT_EQ(ResultOf(sets).settings, ResultOf(other).settings);
  other.mutable_resolved()->set_train_datasets(1, "replaced");
  EXPECT_NE(ResultOf(sets).settings, ResultOf(other).settings);
}

TEST(CellResult, AJobWithoutSuccessHasNone) {
  muster::v1::Job job = SucceededJob();
  job.set_phase(muster::v1::JOB_PHASE_FAILED);
  EXPECT_FALSE(ResultOf(job).done);
  EXPECT_EQ(ResultOf(job).state, "failed");
  job.set_phase(muster::v1::JOB_PHASE_TRAINING);
  EXPECT_EQ(ResultOf(job).state, "not ended");
  EXPECT_EQ(CellResult().state, "not submitted");
}

TEST(NoiseWeightOf, IsTheMeanOverTheLastHalfOfTheSteps) {
  EXPECT_EQ(NoiseWeightOf("step,noise_weight\n1,1\n2,1\n3,0.25\n4,0.75\n"), 0.5);
  EXPECT_EQ(NoiseWeightOf("step,noise_weight\n1,0.5\n2,1\n3,0.25\n"), 0.625) << "of three steps the last two";
  EXPECT_EQ(NoiseWeightOf("step,noise_weight\n1,0.5\n2,\n"), std::nullopt);
  EXPECT_EQ(NoiseWeightOf("step,loss\n1,0.5\n2,1\n"), std::nullopt) << "a log of an older version";
  EXPECT_EQ(NoiseWeightOf(""), std::nullopt);
}

}  // namespace
}  // namespace muster
