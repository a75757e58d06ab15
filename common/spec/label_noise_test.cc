#include "common/spec/label_noise.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "common/spec/job_spec.h"
#include "common/version.h"

namespace muster {
namespace {

using google::protobuf::util::MessageDifferencer;
using muster::v1::JobSpec;
using testing::HasSubstr;

JobSpec JobWithNoise() {
  JobSpec spec;
  spec.set_name("a");
  spec.mutable_model()->set_from("minilm");
  spec.mutable_data()->set_train("scifact");
  spec.mutable_data()->mutable_noise()->set_random_passages(0.25);
  spec.mutable_duration()->set_epochs(1);
  return spec;
}

TEST(LabelNoiseSpec, DefaultsAreFilledInOnce) {
  JobSpec spec = JobWithNoise();
  FillDefaults(spec);
  const muster::v1::NoiseSpec& noise = spec.data().noise();
  EXPECT_EQ(noise.random_passages(), 0.25);
  EXPECT_TRUE(noise.has_hard_negatives() && noise.has_other_positives() && noise.has_dropped() && noise.has_blurred_grades());
  EXPECT_EQ(noise.seed(), 17);
  JobSpec again = spec;
  FillDefaults(again);
  EXPECT_TRUE(MessageDifferencer::Equals(spec, again));
  EXPECT_TRUE(ValidateJobSpec(spec).ok()) << ValidateJobSpec(spec);
}

TEST(LabelNoiseSpec, SharesOfZeroAreTheSameAsNone) {
  JobSpec spec = JobWithNoise(), none = JobWithNoise();
  none.mutable_data()->clear_noise();
  spec.mutable_data()->mutable_noise()->set_random_passages(0);
  spec.mutable_data()->mutable_noise()->set_dropped(0);
  spec.mutable_data()->mutable_noise()->set_seed(5);
  FillDefaults(spec);
  FillDefaults(none);
  EXPECT_TRUE(MessageDifferencer::Equals(spec, none)) << spec.data().DebugString();
  EXPECT_EQ(NeededProtocol(spec, {}), 0);
}

TEST(LabelNoiseSpec, SharesAddUpToAtMostOne) {
  JobSpec spec = JobWithNoise();
  muster::v1::NoiseSpec& noise = *spec.mutable_data()->mutable_noise();
  noise.set_random_passages(0.1);
  noise.set_hard_negatives(0.2);
  noise.set_other_positives(0.3);
  noise.set_dropped(0.4);
  FillDefaults(spec);
  EXPECT_TRUE(ValidateJobSpec(spec).ok()) << ValidateJobSpec(spec);
  noise.set_dropped(0.5);
  EXPECT_EQ(ValidateJobSpec(spec).message(),
            "data.noise: random_passages, hard_negatives, other_positives and dropped add up to 1.1. A positive has only one "
            "of these fates, so lower them to a sum of at most 1.");
  noise.set_dropped(-0.1);
  EXPECT_THAT(std::string(ValidateJobSpec(spec).message()), HasSubstr("data.noise.dropped: is -0.1. It must be from 0 to 1"));
}

TEST(LabelNoiseSpec, TextNamesTheSharesThatAreSet) {
  JobSpec spec = JobWithNoise();
  EXPECT_EQ(NoiseText(spec.data()), "random passages 0.25, seed 17");
  spec.mutable_data()->mutable_noise()->set_blurred_grades(0.5);
  spec.mutable_data()->mutable_noise()->set_seed(3);
  EXPECT_EQ(NoiseText(spec.data()), "random passages 0.25, errors of grades 0.5, seed 3");
  spec.mutable_data()->clear_noise();
  EXPECT_EQ(NoiseText(spec.data()), "");
}

TEST(LabelNoiseSpec, AnOldAgentIsNotAskedForNoise) {
  JobSpec spec = JobWithNoise();
  FillDefaults(spec);
  EXPECT_EQ(NeededProtocol(spec, {}), kLabelNoiseProtocol);
  spec.mutable_data()->mutable_noise()->set_random_passages(0);
  spec.mutable_data()->mutable_noise()->set_blurred_grades(0.5);
  EXPECT_EQ(NeededProtocol(spec, {}), kLabelNoiseProtocol);
}

}  // namespace
}  // namespace muster
