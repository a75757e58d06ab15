// Corrects p-values for several comparisons at once.
#pragma once

#include <vector>

#include "absl/types/span.h"

namespace muster {

// Holm's adjusted p values, in the order given (Holm, "A simple sequentially rejective multiple test procedure",
// Scandinavian Journal of Statistics 6, 1979). Calling every comparison a difference whose adjusted p is at most 0.05
// makes the probability of even one wrong call at most 5%, however the comparisons depend on each other.
std::vector<double> HolmAdjusted(absl::Span<const double> p);

}  // namespace muster
