// The scale of one side of a figure. Pure.
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
  std::vector<Tick> ticks;   // ascending, inside the ends, labels different; at least two

  double Place(double value) const;  // 0 at `low`, 1 at `high`
};

// An axis on which low ≤ high fit, both finite. `whole`: ticks are whole numbers, and the ends are exactly the given ones.
// `may_be_logarithmic`: it is, if everything is above 0 and the largest value is 100 times the smallest or more.
Axis AxisOf(double low, double high, bool whole, bool may_be_logarithmic);

// Five significant digits, without zeros at the end: 0.51234, 1.2e-05, 12345.
std::string ShortNumber(double value);

}  // namespace muster
