#include <gtest/gtest.h>

#include <functional>

#include "common/spec/job_spec.h"
#include "common/version.h"

namespace muster {
namespace {

using muster::v1::JobSpec;

JobSpec Good() {
  JobSpec spec;
  spec.set_name("scifact-lsepair");
  spec.mutable_model()->set_from("all-minilm-l6-v2");
  spec.mutable_data()->set_train("scifact");
  spec.mutable_duration()->set_epochs(3);
  return spec;
}

JobSpec Mining() {
  JobSpec spec = Good();
  spec.mutable_data()->clear_train();
  spec.mutable_duration()->set_steps(0);
  spec.mutable_mine()->set_dataset("scifact");
  spec.mutable_mine()->set_out("scifact-mined");
  return spec;
}

// Older ranks would fail on the job, or train with other settings.
TEST(NeededProtocol, AnOldAgentIsNotAskedToMakeAModelOfACheckpoint) {
  muster::v1::ResolvedJob resolved;
  EXPECT_EQ(NeededProtocol(Good(), resolved), 0);
  resolved.mutable_model_checkpoint()->set_step(20);
  EXPECT_EQ(NeededProtocol(Good(), resolved), kModelCheckpointProtocol);
}

TEST(NeededProtocol, AnOldAgentIsNotAskedForRatesOrFreezingByPart) {
  const auto needed = [](const std::function<void(JobSpec&)>& change) {
    JobSpec spec = Good();
    change(spec);
    FillDefaults(spec);
    return NeededProtocol(spec, {});
  };
  EXPECT_EQ(needed([](JobSpec& s) { s.mutable_model()->add_freeze("embeddings"); }), kTrainingAidsProtocol);
  EXPECT_EQ(needed([](JobSpec& s) { s.mutable_optimizer()->mutable_learning_rates()->set_layers(0); }), kTrainingAidsProtocol);
  EXPECT_EQ(needed([](JobSpec& s) { s.mutable_optimizer()->set_layer_decay(0.9); }), kTrainingAidsProtocol);
  EXPECT_EQ(needed([](JobSpec& s) { s.mutable_optimizer()->set_layer_decay(1); }), 0) << "no decay";
  muster::v1::ResolvedJob resolved;
  resolved.mutable_model_checkpoint()->mutable_base()->mutable_model()->add_freeze("head");
  EXPECT_EQ(NeededProtocol(Good(), resolved), kTrainingAidsProtocol) << "of the job whose checkpoint is the model";
}

TEST(NeededProtocol, AnOldAgentIsNotAskedForALossThatItDoesNotKnow) {
  const auto needed = [](const std::function<void(muster::v1::LossSpec&)>& change) {
    JobSpec spec = Good();
    change(*spec.mutable_loss());
    FillDefaults(spec);
    return NeededProtocol(spec, {});
  };
  EXPECT_EQ(needed([](auto& loss) { loss.set_objective(muster::v1::OBJECTIVE_LSEPAIR); }), 0);
  EXPECT_EQ(needed([](auto& loss) { loss.set_objective(muster::v1::OBJECTIVE_MEAN1LH); }), kTrainingAidsProtocol);
  EXPECT_EQ(needed([](auto& loss) { loss.mutable_false_negatives()->set_margin(0.1f); }), kTrainingAidsProtocol);
  EXPECT_EQ(needed([](auto& loss) { loss.mutable_distill(); }), kTrainingAidsProtocol);
}

TEST(NeededProtocol, AnOldAgentIsNotAskedToTrainOnSeveralSets) {
  JobSpec spec = Good();
  spec.mutable_data()->clear_train();
  spec.mutable_data()->add_sets()->set_dataset("scifact");
  EXPECT_EQ(NeededProtocol(spec, {}), kLabelNoiseProtocol) << "its model card would name no data";
}

TEST(NeededProtocol, AnOldAgentIsNotAskedToMine) {
  EXPECT_EQ(NeededProtocol(Mining(), {}), kTrainingAidsProtocol);
}

TEST(NeededProtocol, AnOldAgentIsNotAskedForAMetricThatItDoesNotKnow) {
  const auto needed = [](const char* metric) {
    JobSpec spec = Good();
    spec.mutable_evaluate()->set_metric(metric);
    return NeededProtocol(spec, {});
  };
  for (const char* known : {"ndcg@10", "mrr", "mrr@5", "recall@100", "map@10"}) EXPECT_EQ(needed(known), 0) << known;
  for (const char* added : {"precision@5", "precision@1", "ndcg", "recall", "map"}) EXPECT_EQ(needed(added), 8) << added;
}

TEST(NeededProtocol, AnOldAgentIsNotAskedForResultsThatItsRanksDoNotStore) {
  JobSpec spec = Good();
  spec.mutable_report()->set_dataset("scifact");
  FillDefaults(spec);
  EXPECT_EQ(NeededProtocol(spec, {}), 0);
  JobSpec metrics = spec, rankings = spec;
  metrics.mutable_report()->add_metrics("ndcg@5");
  EXPECT_EQ(NeededProtocol(metrics, {}), kLabelNoiseProtocol);
  rankings.mutable_report()->set_run_depth(100);
  EXPECT_EQ(NeededProtocol(rankings, {}), kLabelNoiseProtocol);
}

}  // namespace
}  // namespace muster
