#include "common/spec/training_sets.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <functional>

#include "common/spec/job_spec.h"

namespace muster {
namespace {

using muster::v1::JobSpec;
using testing::ElementsAre;
using testing::StartsWith;

JobSpec TwoSets() {
  JobSpec spec;
  spec.set_name("job");
  spec.mutable_model()->set_from("minilm");
  spec.mutable_data()->add_sets()->set_dataset("faq");
  spec.mutable_data()->add_sets()->set_dataset("clicks");
  spec.mutable_data()->mutable_sets(1)->set_weight(0.5);
  spec.mutable_duration()->set_epochs(3);
  return spec;
}

std::string RefusalOf(const std::function<void(JobSpec&)>& change) {
  JobSpec spec = TwoSets();
  change(spec);
  FillDefaults(spec);
  return std::string(ValidateJobSpec(spec).message());
}

TEST(TrainingSets, HaveSplitTrainAndWeightOneUnlessTheySayOtherwise) {
  JobSpec spec = TwoSets();
  FillDefaults(spec);
  EXPECT_TRUE(ValidateJobSpec(spec).ok()) << ValidateJobSpec(spec);
  EXPECT_EQ(spec.data().sets(0).split(), "train");
  EXPECT_EQ(spec.data().sets(0).weight(), 1);
  EXPECT_EQ(spec.data().sets(1).weight(), 0.5);
  EXPECT_EQ(spec.data().split(), "");
  EXPECT_TRUE(spec.data().has_homogeneous_batches());
  JobSpec again = spec;
  FillDefaults(again);
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(spec, again));
}

TEST(TrainingSets, AJobWithDataTrainHasNoNewFields) {
  JobSpec spec = TwoSets();
  spec.mutable_data()->clear_sets();
  spec.mutable_data()->set_train("faq");
  FillDefaults(spec);
  EXPECT_TRUE(ValidateJobSpec(spec).ok()) << ValidateJobSpec(spec);
  EXPECT_EQ(spec.data().split(), "train");
  EXPECT_FALSE(spec.data().has_homogeneous_batches()) << "the digest of an older job's specification stays what it was";
}

TEST(TrainingSets, RefuseByName) {
  EXPECT_EQ(RefusalOf([](JobSpec& s) { s.mutable_data()->set_train("faq"); }),
            "data.train: excludes data.sets. Remove it, or make it one of the sets.");
  EXPECT_EQ(RefusalOf([](JobSpec& s) { s.mutable_data()->set_split("dev"); }),
            "data.split: has no effect together with data.sets. Set the split of each set there.");
  EXPECT_EQ(RefusalOf([](JobSpec& s) { s.mutable_data()->mutable_sets(1)->clear_dataset(); }),
            "data.sets[1].dataset: is missing. Name an imported dataset.");
  EXPECT_THAT(RefusalOf([](JobSpec& s) { s.mutable_data()->mutable_sets(1)->set_dataset("A b"); }),
              StartsWith("data.sets[1].dataset: \"A b\" is not a valid name."));
  EXPECT_THAT(RefusalOf([](JobSpec& s) { s.mutable_data()->mutable_sets(0)->set_split("A b"); }),
              StartsWith("data.sets[0].split: "));
  EXPECT_EQ(RefusalOf([](JobSpec& s) { s.mutable_data()->add_sets()->set_dataset("faq"); }),
            "data.sets[2]: is split \"train\" of dataset \"faq\", as data.sets[0] is. Remove one of them, and set the other's "
            "weight.");
  EXPECT_EQ(RefusalOf([](JobSpec& s) {
              s.mutable_data()->add_sets()->set_dataset("faq");
              s.mutable_data()->mutable_sets(2)->set_split("dev");
            }),
            "") << "another split is another set";
  for (const double weight : {0.0, -1.0, 0.0005, 1001.0}) {
    EXPECT_THAT(RefusalOf([&](JobSpec& s) { s.mutable_data()->mutable_sets(1)->set_weight(weight); }),
                StartsWith("data.sets[1].weight: is "));
  }
  EXPECT_EQ(RefusalOf([](JobSpec& s) {
              while (s.data().sets_size() <= kMaxTrainingSets) {
                s.mutable_data()->add_sets()->set_dataset("faq-" + std::to_string(s.data().sets_size()));
              }
            }),
            "data.sets: has 65 sets, at most 64 are taken. Merge some of them with muster data add.");
}

TEST(TrainingSets, HomogeneousBatchesNeedSets) {
  EXPECT_EQ(RefusalOf([](JobSpec& s) {
              s.mutable_data()->clear_sets();
              s.mutable_data()->set_train("faq");
              s.mutable_data()->set_homogeneous_batches(true);
            }),
            "data.homogeneous_batches: has no effect without data.sets: all batches are of one set. Remove it.");
}

TEST(TrainingSets, AJobThatMinesHasNone) {
  EXPECT_EQ(RefusalOf([](JobSpec& s) {
              s.mutable_duration()->set_steps(0);
              s.mutable_mine()->set_dataset("faq");
              s.mutable_mine()->set_out("mined");
            }),
            "data.sets: has no effect on a job that mines. Name the dataset as mine.dataset.");
}

TEST(TrainingSets, AreListedWhicheverFieldNamesThem) {
  JobSpec spec = TwoSets();
  FillDefaults(spec);
  EXPECT_EQ(TrainingSetsText(spec.data()), "faq/train, clicks/train x 0.5");
  EXPECT_EQ(TrainingDatasetField(spec.data(), 1), "data.sets[1].dataset");
  EXPECT_EQ(TrainingSplitField(spec.data(), 1), "data.sets[1].split");
  EXPECT_EQ(DataOfTrainingSet(spec.data(), 1).train(), "clicks");
  EXPECT_EQ(DataOfTrainingSet(spec.data(), 1).split(), "train");
  EXPECT_EQ(DataOfTrainingSet(spec.data(), 1).positives().per_query(), 4);
  spec.mutable_data()->clear_sets();
  EXPECT_EQ(TrainingSetsText(spec.data()), "");
  spec.mutable_data()->set_train("faq");
  spec.mutable_data()->set_split("dev");
  EXPECT_EQ(TrainingSetsText(spec.data()), "faq/dev");
  EXPECT_EQ(TrainingDatasetField(spec.data(), 0), "data.train");
  EXPECT_EQ(TrainingSplitField(spec.data(), 0), "data.split");
  muster::v1::ResolvedJob resolved;
  EXPECT_TRUE(TrainingDatasetsOf(resolved).empty());
  resolved.add_train_datasets("a");
  resolved.add_train_datasets("a");
  EXPECT_THAT(TrainingDatasetsOf(resolved), ElementsAre("a", "a"));
  resolved.clear_train_datasets();
  resolved.set_train_dataset("b");
  EXPECT_THAT(TrainingDatasetsOf(resolved), ElementsAre("b"));
}

}  // namespace
}  // namespace muster
