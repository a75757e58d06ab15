#include "client/report/buckets.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace muster {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::vector<double> Steps(size_t count, size_t first = 1) {
  std::vector<double> x;
  for (size_t i = 0; i < count; ++i) x.push_back(static_cast<double>(first + i));
  return x;
}

RC_GTEST_PROP(BucketsOf, HidesNoExtremeAndLosesNoPoint, ()) {
  const auto count = *rc::gen::inRange<size_t>(0, 400);
  const auto most = *rc::gen::inRange<size_t>(1, 60);
  std::vector<double> x, y;
  double step = 0, low = INFINITY, high = -INFINITY, sum = 0;
  size_t finite = 0;
  for (size_t i = 0; i < count; ++i) {
    step += *rc::gen::inRange(1, 9);  // old steps of a history are sparse
    x.push_back(step);
    y.push_back(*rc::gen::inRange(0, 10) == 0 ? kNan : *rc::gen::inRange(-1000, 1001));
    if (!std::isfinite(y.back())) continue;
    low = std::min(low, y.back());
    high = std::max(high, y.back());
    sum += y.back();
    ++finite;
  }
  const Buckets buckets = BucketsOf(x, y, most);
  RC_ASSERT(buckets.left_out == count - finite);
  RC_ASSERT(buckets.all.empty() == (finite == 0));
  RC_ASSERT(buckets.all.size() <= most);
  double bucket_low = INFINITY, bucket_high = -INFINITY, bucket_sum = 0, last = -1;
  size_t points = 0;
  for (const Bucket& bucket : buckets.all) {
    RC_ASSERT(bucket.first > last);
    RC_ASSERT(bucket.last >= bucket.first);
    RC_ASSERT(bucket.low <= bucket.mean && bucket.mean <= bucket.high);
    if (buckets.width > 0) RC_ASSERT(bucket.last - bucket.first < buckets.width);
    if (buckets.width == 0) RC_ASSERT(bucket.points == 1u);
    last = bucket.last;
    bucket_low = std::min(bucket_low, bucket.low);
    bucket_high = std::max(bucket_high, bucket.high);
    bucket_sum += bucket.mean * static_cast<double>(bucket.points);
    points += bucket.points;
  }
  RC_ASSERT(points == finite);
  RC_ASSERT(bucket_low == low && bucket_high == high);
  RC_ASSERT(std::abs(bucket_sum - sum) < 1e-6);
}

TEST(BucketsOf, DrawsEveryPointWhereThereAreFew) {
  const Buckets buckets = BucketsOf(Steps(3), std::vector<double>{5, 4, 6}, 3);
  ASSERT_EQ(buckets.all.size(), 3u);
  EXPECT_EQ(buckets.width, 0);
  EXPECT_EQ(buckets.all[1].mean, 4);
  EXPECT_EQ(buckets.all[1].Middle(), 2);
}

TEST(BucketsOf, KeepsASpike) {
  std::vector<double> y(10'000, 1.0);
  y[7'777] = 50;
  const Buckets buckets = BucketsOf(Steps(10'000), y, 500);
  EXPECT_EQ(buckets.width, 20);
  EXPECT_EQ(buckets.all.size(), 500u);
  const auto spike = std::find_if(buckets.all.begin(), buckets.all.end(), [](const Bucket& b) { return b.high == 50; });
  ASSERT_NE(spike, buckets.all.end());
  EXPECT_EQ(spike->first, 7'761);
  EXPECT_EQ(spike->last, 7'780);
  EXPECT_DOUBLE_EQ(spike->mean, 1 + 49.0 / 20);
  EXPECT_EQ(spike->low, 1);
}

TEST(BucketsOf, BreaksWherePointsAreNotFinite) {
  const Buckets buckets = BucketsOf(Steps(6), std::vector<double>{1, 2, kNan, INFINITY, 3, 4}, 10);
  ASSERT_EQ(buckets.all.size(), 4u);
  EXPECT_FALSE(buckets.all[1].after_gap);
  EXPECT_TRUE(buckets.all[2].after_gap);
  EXPECT_FALSE(buckets.all[3].after_gap);
  EXPECT_EQ(buckets.left_out, 2u);
  EXPECT_EQ(buckets.first_left_out, 3);
  EXPECT_TRUE(BucketsOf(Steps(2), std::vector<double>{kNan, kNan}, 10).all.empty());
}

}  // namespace
}  // namespace muster
