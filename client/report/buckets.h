// Reduces a curve of many points to few buckets without hiding its extremes. Pure.
#pragma once

#include <cstddef>
#include <vector>

#include "absl/types/span.h"

namespace muster {

// A group of neighboring points, drawn as one.
struct Bucket {
  double first = 0, last = 0;  // x of the bucket's first and last point
  double mean = 0, low = 0, high = 0;
  size_t points = 0;
  bool after_gap = false;  // points that are not finite separate it from the previous bucket

  double Middle() const { return (first + last) / 2; }
};

struct Buckets {
  std::vector<Bucket> all;   // by ascending x; none is empty
  double width = 0;          // of each bucket, in units of x; 0 if every point has its own bucket
  size_t left_out = 0;       // number of points whose y is not finite
  double first_left_out = 0;  // x of the first point whose y is not finite
};

// Makes at most `most` buckets of equal width in x, or one per point if there are at most `most` points. `x` must be ascending
// and finite, and `y` as long as `x`.
Buckets BucketsOf(absl::Span<const double> x, absl::Span<const double> y, size_t most);

}  // namespace muster
