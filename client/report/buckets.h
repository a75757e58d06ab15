// A curve of many points as a curve of few, that hides none of its extremes. Pure.
#pragma once

#include <cstddef>
#include <vector>

#include "absl/types/span.h"

namespace muster {

// Neighboring points.
struct Bucket {
  double first = 0, last = 0;  // x of its first and of its last point
  double mean = 0, low = 0, high = 0;
  size_t points = 0;
  bool after_gap = false;  // between the bucket before and this one are points that are not finite

  double Middle() const { return (first + last) / 2; }
};

struct Buckets {
  std::vector<Bucket> all;   // by x; none is empty
  double width = 0;          // of each, in x; 0: every point is a bucket of its own
  size_t left_out = 0;       // points whose y is not finite
  double first_left_out = 0;  // x of the first of them
};

// At most `most` buckets of equal width in x, or every point by itself if there are no more points than that. `x` ascends
// and is finite; `y` has as many values.
Buckets BucketsOf(absl::Span<const double> x, absl::Span<const double> y, size_t most);

}  // namespace muster
