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

}  // namespace
}  // namespace muster
