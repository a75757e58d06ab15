#include "worker/rank/train/model_spec.h"

#include <gtest/gtest.h>

namespace muster {
namespace {

muster::v1::JobSpec Spec(muster::v1::Precision precision) {
  muster::v1::JobSpec spec;
  spec.mutable_model()->set_preset("tiny");
  spec.set_precision(precision);
  return spec;
}

TEST(EncoderFromSpec, PrecisionIsOfProductsAndWeightsStayFloat32) {
  for (const auto& [precision, bfloat16] : {std::pair(muster::v1::PRECISION_AUTO, false),
                                            std::pair(muster::v1::PRECISION_FP32, false),
                                            std::pair(muster::v1::PRECISION_BF16, true)}) {
    const auto encoder = EncoderFromSpec(Spec(precision), "", 50);
    ASSERT_TRUE(encoder.ok()) << encoder.status();
    EXPECT_EQ((*encoder)->options().bfloat16, bfloat16) << muster::v1::Precision_Name(precision);
    EXPECT_TRUE((*encoder)->options().device.is_cpu());
    for (const Parameter& parameter : (*encoder)->parameters()) {
      EXPECT_EQ(parameter.value.scalar_type(), at::kFloat) << parameter.name;
    }
  }
}

// Export and report name the job's values: the folder's own length and dropout are those of an earlier training.
TEST(EncoderFromSpec, LengthAndDropoutAreWhatTheSpecificationTrains) {
  muster::v1::JobSpec spec = Spec(muster::v1::PRECISION_FP32);
  spec.mutable_model()->mutable_max_length()->set_query(64);
  spec.mutable_model()->mutable_max_length()->set_passage(384);
  spec.mutable_model()->set_dropout(0.3f);
  const EncoderConfig config = (*EncoderFromSpec(spec, "", 50))->config();
  EXPECT_EQ(config.max_sequence_length, 384);
  EXPECT_EQ(config.hidden_dropout, 0.3);
  EXPECT_EQ(config.attention_dropout, 0.3);
  spec.mutable_model()->set_attention_dropout(0);
  EXPECT_EQ((*EncoderFromSpec(spec, "", 50))->config().hidden_dropout, 0.3);
  EXPECT_EQ((*EncoderFromSpec(spec, "", 50))->config().attention_dropout, 0) << "overrides dropout";
  spec.mutable_model()->set_hidden_dropout(0.2f);
  EXPECT_EQ((*EncoderFromSpec(spec, "", 50))->config().hidden_dropout, 0.2) << "overrides dropout";
  spec.mutable_model()->clear_hidden_dropout();
  spec.mutable_model()->clear_attention_dropout();
  spec.mutable_model()->mutable_max_length()->set_query(400);
  spec.mutable_model()->clear_dropout();
  const EncoderConfig own = (*EncoderFromSpec(spec, "", 50))->config();
  EXPECT_EQ(own.max_sequence_length, 400) << "the longer one";
  EXPECT_EQ(own.hidden_dropout, 0.1) << "the model's";
}

}  // namespace
}  // namespace muster
