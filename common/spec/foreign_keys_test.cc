#include "common/spec/foreign_keys.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <string>

#include "muster/v1/job.pb.h"

namespace muster {
namespace {

TEST(ForeignKeys, GradientAccumulationIsRecognizedInAllSpellings) {
  for (const char* key : {"gradient_accumulation_steps", "gradient-accumulation-steps", "accumulate", "accumulate_grad_batches",
                          "grad_accum_steps", "accumSteps", "GRADIENT_ACCUMULATION"}) {
    EXPECT_THAT(std::string(RemedyForKey(key)), testing::StartsWith("There is no gradient accumulation:")) << key;
  }
  EXPECT_EQ(RemedyForKey("batch"), "");
}

// Remedies are shown only for unknown keys, so a remedy for one of Muster's own keys would never be shown.
void ExpectNone(const google::protobuf::Descriptor& message) {
  for (int i = 0; i < message.field_count(); ++i) {
    EXPECT_EQ(RemedyForKey(message.field(i)->name()), "") << message.field(i)->name();
    if (message.field(i)->message_type() != nullptr) ExpectNone(*message.field(i)->message_type());
  }
}

TEST(ForeignKeys, AreNotFieldsOfAJob) { ExpectNone(*muster::v1::JobSpec::descriptor()); }

// The fields that the remedy names must exist.
TEST(ForeignKeys, TheRemedyNamesFieldsOfAJob) {
  const auto& batch = *muster::v1::BatchSpec::descriptor();
  for (const char* field : {"queries", "micro_batch_tokens", "keep_activations"}) {
    EXPECT_NE(batch.FindFieldByName(field), nullptr);
    EXPECT_THAT(std::string(RemedyForKey("accumulate")), testing::HasSubstr(std::string("batch.") + field));
  }
}

}  // namespace
}  // namespace muster
