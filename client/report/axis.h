// The scale of one axis of a figure. Pure.
#pragma once

#include <string>
#include <vector>

namespace muster {

struct Tick {
  double value = 0;
  std::string label;
};

struct Axis {
  double low = 0, high = 1;  // low < high
  bool logarithmic = false;  // then low > 0
  std::vector<Tick> ticks;   // ascending, within [low, high], with distinct labels; at least two

  double Place(double value) const;  // position along the axis: 0 at `low`, 1 at `high`
};

// An axis that contains [low, high]; both must be finite, low ≤ high. `whole`: ticks are whole numbers, and the axis begins at
// `low` and ends at `high`. `may_be_logarithmic`: the axis is logarithmic if low > 0 and high is at least 100 times low.
Axis AxisOf(double low, double high, bool whole, bool may_be_logarithmic);

// Five significant digits, without zeros at the end: 0.51234, 1.2e-05, 12345.
std::string ShortNumber(double value);

}  // namespace muster
