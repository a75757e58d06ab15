#include "worker/rank/model/dropout.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <iostream>
#include <set>

#include "common/random.h"
#include "worker/rank/model/testing/reference_encoder.h"

namespace muster {
namespace {

TEST(Dropout, DecisionsAreThePhiloxNumbersOfTheirElements) {
  const DropoutRate rate(0.3);
  for (const int64_t size : {1, 7, 8, 127, 128, 129, 1000}) {
    std::vector<float> ones(size, 1.0f), out(size);
    ApplyMask(0x123456789abcdefULL, rate, size, ones.data(), out.data());
    for (int64_t e = 0; e < size; ++e) {
      const auto block = Philox({static_cast<uint32_t>(e / 8), 0, 0, 0}, 0x123456789abcdefULL);
      const uint32_t decision = block[e / 2 % 4] >> (e % 2 * 16) & 0xffff;
      EXPECT_EQ(out[e], decision < rate.threshold ? 0.0f : static_cast<float>(rate.scale)) << "element " << e;
    }
  }
}

TEST(Dropout, SingleAndDoubleDropTheSameElements) {
  const DropoutRate rate(0.5);
  const at::Tensor x = at::ones({1000}, at::kDouble), x32 = x.to(at::kFloat);
  at::Tensor out = at::empty_like(x), out32 = at::empty_like(x32);
  ApplyMask(3, rate, 1000, x.const_data_ptr<double>(), out.data_ptr<double>());
  ApplyMask(3, rate, 1000, x32.const_data_ptr<float>(), out32.data_ptr<float>());
  EXPECT_EQ(LargestDifference(out, out32), 0);
}

TEST(Dropout, Bfloat16DropsTheSameElementsAndRoundsOnce) {
  const DropoutRate rate(0.3);
  const at::Tensor x = at::linspace(-3, 3, 1000).to(at::kBFloat16), x32 = x.to(at::kFloat);
  at::Tensor out = at::empty_like(x), out32 = at::empty_like(x32);
  ApplyMask(3, rate, 1000, x.const_data_ptr<c10::BFloat16>(), out.data_ptr<c10::BFloat16>());
  ApplyMask(3, rate, 1000, x32.const_data_ptr<float>(), out32.data_ptr<float>());
  EXPECT_TRUE(at::equal(out, out32.to(at::kBFloat16)));
}

TEST(Dropout, KnowsTheCpuFromTheStartAndNoOtherDevice) {
  const SequencePlanPtr plan = MakeSequencePlan(RandomBatch(SmallConfig(), {5, 5}, 1), {.attention = 0.5, .seed = 1, .step = 1});
  const at::Tensor p = at::ones({2 * 3, 5, 5});
  at::Tensor out = at::empty_like(p), expected = at::empty_like(p);
  DropoutOpsOf(c10::DeviceType::CPU).MaskProbabilities(p, plan->runs[0], DropoutRate(0.5), /*layer=*/1, *plan, out);
  for (int64_t s = 0; s < 2; ++s) {
    const int64_t first = s * 3 * 5 * 5;
    ApplyMask(DropoutKey(plan->keys[s], {1, DropoutSite::kProbabilities}), DropoutRate(0.5), 3 * 5 * 5,
              p.const_data_ptr<float>() + first, expected.data_ptr<float>() + first);
  }
  EXPECT_TRUE(at::equal(out, expected));
  EXPECT_THROW(DropoutOpsOf(c10::DeviceType::XPU), c10::Error);
}

// 10^6 decisions: the share dropped is within 5 standard deviations, and so are its pairs at small distances.
TEST(Dropout, DropsItsShareIndependently) {
  constexpr int64_t kSize = 1'000'000;
  for (const double probability : {0.01, 0.1, 0.5, 0.9}) {
    const DropoutRate rate(probability);
    const double p = rate.threshold / 65536.0;
    EXPECT_NEAR(p, probability, 0.5 / 65536);
    EXPECT_DOUBLE_EQ(rate.scale * (1 - p), 1);
    std::vector<float> ones(kSize, 1.0f), out(kSize);
    ApplyMask(99, rate, kSize, ones.data(), out.data());
    int64_t dropped = 0;
    for (const float value : out) dropped += value == 0;
    const double deviations = (dropped - kSize * p) / std::sqrt(kSize * p * (1 - p));
    std::cout << "p " << probability << ": " << deviations << " standard deviations\n";
    EXPECT_LT(std::abs(deviations), 5);
    for (const int64_t lag : {1, 2, 8, 384}) {
      int64_t pairs = 0;
      for (int64_t i = 0; i + lag < kSize; ++i) pairs += out[i] == 0 && out[i + lag] == 0;
      const double n = kSize - lag, expected = n * p * p;
      EXPECT_LT(std::abs(pairs - expected), 6 * std::sqrt(n * p * p * (1 + 2 * p))) << "lag " << lag;
    }
  }
}

TEST(Dropout, KeysOfPlacesDiffer) {
  std::set<uint64_t> keys;
  for (uint64_t sequence = 0; sequence < 50; ++sequence) {
    for (int64_t layer = 0; layer < 12; ++layer) {
      for (uint64_t site = 0; site < 4; ++site) {
        keys.insert(DropoutKey(MixKey(1, sequence), {layer, static_cast<DropoutSite>(site)}));
      }
    }
  }
  EXPECT_EQ(keys.size(), 50 * 12 * 4);
}

TEST(Dropout, RefusesProbabilitiesOfOneAndMore) {
  EXPECT_THROW(DropoutRate(1.0), c10::Error);
  EXPECT_THROW(DropoutRate(-0.1), c10::Error);
  EXPECT_FALSE(DropoutRate(0).active());
}

}  // namespace
}  // namespace muster
