#include "client/report/buckets.h"

#include <algorithm>
#include <cmath>

namespace muster {
namespace {

// Fills a bucket point by point. Sums in float64.
class BucketMaker {
 public:
  explicit BucketMaker(bool after_gap) { bucket_.after_gap = after_gap; }

  void Add(double x, double y) {
    if (bucket_.points == 0) bucket_ = {.first = x, .low = y, .high = y, .after_gap = bucket_.after_gap};
    bucket_.last = x;
    bucket_.low = std::min(bucket_.low, y);
    bucket_.high = std::max(bucket_.high, y);
    ++bucket_.points;
    sum_ += y;
  }
  bool IsEmpty() const { return bucket_.points == 0; }
  Bucket Finish() {
    // Rounding may push the mean out of [low, high] in the last bit.
    bucket_.mean = std::clamp(sum_ / static_cast<double>(bucket_.points), bucket_.low, bucket_.high);
    return bucket_;
  }

 private:
  Bucket bucket_;
  double sum_ = 0;
};

}  // namespace

Buckets BucketsOf(absl::Span<const double> x, absl::Span<const double> y, size_t most) {
  Buckets buckets;
  for (size_t i = 0; i < x.size(); ++i) {
    if (std::isfinite(y[i])) continue;
    if (buckets.left_out++ == 0) buckets.first_left_out = x[i];
  }
  const size_t finite = x.size() - buckets.left_out;
  if (finite == 0) return buckets;
  const double begin = x.front();
  // Rounded up to whole steps, so that the buckets of a log that has every step have equally many points.
  if (finite > most) buckets.width = std::ceil((x.back() - begin + 1) / static_cast<double>(most));
  bool gap = false;  // since the last finite point
  double end = 0;    // of the bucket that `maker` is filling
  BucketMaker maker(false);
  for (size_t i = 0; i < x.size(); ++i) {
    if (!std::isfinite(y[i])) {
      gap = true;
      continue;
    }
    if (!maker.IsEmpty() && (buckets.width == 0 || x[i] >= end)) {
      buckets.all.push_back(maker.Finish());
      maker = BucketMaker(gap);
    }
    if (maker.IsEmpty()) end = buckets.width > 0 ? begin + buckets.width * (std::floor((x[i] - begin) / buckets.width) + 1) : 0;
    maker.Add(x[i], y[i]);
    gap = false;
  }
  buckets.all.push_back(maker.Finish());
  return buckets;
}

}  // namespace muster
