#include "common/spec/profiles.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <string>

#include "common/spec/job_spec.h"

namespace muster {
namespace {

using namespace muster::v1;  // NOLINT: the specification's messages and values
using google::protobuf::util::MessageDifferencer;

JobSpec WithProfile(std::string_view name) {
  JobSpec spec;
  spec.set_name("a");
  spec.set_profile(std::string(name));
  spec.mutable_model()->set_from("minilm");
  spec.mutable_data()->set_train("scifact");
  spec.mutable_duration()->set_epochs(1);
  return spec;
}

TEST(Profiles, FillInAllThatTheToolSays) {
  JobSpec spec = WithProfile("tevatron");
  FillDefaults(spec);
  EXPECT_EQ(spec.profile(), "tevatron") << "kept for display";
  EXPECT_FLOAT_EQ(spec.loss().temperature(), 1);
  EXPECT_EQ(spec.model().pooling(), POOLING_CLS);
  EXPECT_TRUE(spec.model().has_normalize());
  EXPECT_FALSE(spec.model().normalize());
  EXPECT_EQ(spec.model().max_length().query(), 32);
  EXPECT_EQ(spec.model().max_length().passage(), 128);
  EXPECT_TRUE(spec.model().prompts().has_query()) << "none, whatever the folder says";
  EXPECT_EQ(spec.data().positives().per_query(), 1);
  EXPECT_EQ(spec.data().positives().choose(), CHOOSE_ROTATE);
  EXPECT_EQ(spec.data().negatives().per_query(), 7);
  EXPECT_EQ(spec.batch().queries(), 8);
  EXPECT_DOUBLE_EQ(spec.optimizer().learning_rate(), 5e-5);
  EXPECT_DOUBLE_EQ(spec.optimizer().warmup(), 0.1);
  EXPECT_DOUBLE_EQ(spec.optimizer().weight_decay(), 0);
  EXPECT_DOUBLE_EQ(spec.optimizer().epsilon(), 1e-8) << "what no profile names is Muster's own";
}

TEST(Profiles, EachIsAValidJobAndIdempotent) {
  for (const Profile& profile : Profiles()) {
    JobSpec spec = WithProfile(profile.name);
    FillDefaults(spec);
    EXPECT_TRUE(ValidateJobSpec(spec).ok()) << profile.name << ": " << ValidateJobSpec(spec);
    JobSpec again = spec;
    FillDefaults(again);
    EXPECT_TRUE(MessageDifferencer::Equals(spec, again)) << profile.name;
  }
}

// Fields that a job sets do not change, even at the first value of an enumeration; filling in twice changes nothing.
TEST(Profiles, GiveWayToEveryFieldThatIsSet) {
  for (const Profile& profile : Profiles()) {
    JobSpec spec = WithProfile(profile.name);
    ModelSpec& model = *spec.mutable_model();
    model.set_pooling(POOLING_UNSPECIFIED);
    model.set_normalize(!profile.normalize);
    model.mutable_max_length()->set_query(17);
    model.mutable_max_length()->set_passage(18);
    model.mutable_prompts()->set_query("q");
    model.mutable_prompts()->set_passage("p");
    PositivesSpec& positives = *spec.mutable_data()->mutable_positives();
    positives.set_per_query(0);
    positives.set_choose(CHOOSE_RANDOM);
    NegativesSpec& negatives = *spec.mutable_data()->mutable_negatives();
    negatives.set_per_query(0);
    negatives.set_choose(CHOOSE_RANDOM);
    spec.mutable_loss()->set_temperature(0.5);
    spec.mutable_batch()->set_queries(5);
    OptimizerSpec& optimizer = *spec.mutable_optimizer();
    optimizer.set_learning_rate(0.25);
    optimizer.set_schedule(SCHEDULE_LINEAR);
    optimizer.set_warmup(0.75);
    optimizer.set_weight_decay(0.5);
    optimizer.set_beta2(0.5);
    optimizer.set_max_grad_norm(0);
    JobSpec filled = spec;
    FillDefaults(filled);
    FillDefaults(filled);
    EXPECT_TRUE(MessageDifferencer::Equals(filled.model(), model)) << profile.name << filled.model().DebugString();
    EXPECT_EQ(filled.data().positives().per_query(), 0);
    EXPECT_EQ(filled.data().positives().choose(), CHOOSE_RANDOM);
    EXPECT_EQ(filled.data().negatives().per_query(), 0);
    EXPECT_EQ(filled.data().negatives().choose(), CHOOSE_RANDOM);
    EXPECT_FLOAT_EQ(filled.loss().temperature(), 0.5);
    EXPECT_EQ(filled.batch().queries(), 5);
    EXPECT_DOUBLE_EQ(filled.optimizer().learning_rate(), 0.25);
    EXPECT_EQ(filled.optimizer().schedule(), SCHEDULE_LINEAR) << profile.name;
    EXPECT_DOUBLE_EQ(filled.optimizer().warmup(), 0.75);
    EXPECT_DOUBLE_EQ(filled.optimizer().weight_decay(), 0.5);
    EXPECT_DOUBLE_EQ(filled.optimizer().beta2(), 0.5);
    EXPECT_DOUBLE_EQ(filled.optimizer().max_grad_norm(), 0);
  }
}

TEST(Profiles, ThePapersSettingsAreThoseOfItsExample) {
  JobSpec spec = WithProfile("multi-positive");
  FillDefaults(spec);
  EXPECT_FLOAT_EQ(spec.loss().temperature(), 1);
  EXPECT_EQ(spec.loss().objective(), OBJECTIVE_JOINTLH);
  EXPECT_EQ(spec.model().pooling(), POOLING_CLS);
  EXPECT_FALSE(spec.model().normalize());
  EXPECT_EQ(spec.model().max_length().query(), 16);
  EXPECT_EQ(spec.model().max_length().passage(), 128);
  EXPECT_EQ(spec.data().positives().per_query() + spec.data().negatives().per_query(), 8);
  EXPECT_EQ(spec.data().positives().per_query(), 4);
  EXPECT_EQ(spec.data().positives().choose(), CHOOSE_FIRST);
  EXPECT_EQ(spec.data().negatives().choose(), CHOOSE_ROTATE);
  EXPECT_EQ(spec.batch().queries(), 128);
  EXPECT_DOUBLE_EQ(spec.optimizer().learning_rate(), 3e-5);
  EXPECT_DOUBLE_EQ(spec.optimizer().warmup(), 0.1);
  EXPECT_DOUBLE_EQ(spec.optimizer().weight_decay(), 0);
  EXPECT_EQ(ToolProfiles().back().name, "arctic") << "a paper has no arguments to translate";
}

TEST(Profiles, TheRateOfLowRankAdaptationIsTheToolsOwn) {
  JobSpec all = WithProfile("swift"), lora = all;
  lora.mutable_model()->mutable_lora();
  ApplyProfile(all);
  ApplyProfile(lora);
  EXPECT_DOUBLE_EQ(all.optimizer().learning_rate(), 1e-5);
  EXPECT_FALSE(all.model().has_lora());
  EXPECT_DOUBLE_EQ(lora.optimizer().learning_rate(), 1e-4);
  EXPECT_EQ(lora.model().lora().rank(), 8);
}

TEST(Profiles, AnUnknownOneIsRefusedWithTheNearest) {
  JobSpec spec = WithProfile("flagembeding");
  FillDefaults(spec);
  EXPECT_EQ(ValidateJobSpec(spec).message(),
            "profile: unknown profile \"flagembeding\". Allowed: sentence-transformers, tevatron, flagembedding, swift, "
            "arctic, multi-positive. Did you mean \"flagembedding\"?");
}

TEST(Profiles, NoneChangesNothing) {
  JobSpec spec = WithProfile(""), same = spec;
  ApplyProfile(spec);
  EXPECT_TRUE(MessageDifferencer::Equals(spec, same));
}

}  // namespace
}  // namespace muster
