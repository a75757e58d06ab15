#include "client/report/axis.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace muster {
namespace {

constexpr int kTicks = 5;  // approximate number to aim for
constexpr int kMostTicks = 20;
constexpr double kLargest = 1e300;
// Relative to the largest value. A smaller range is only rounding error, and no distinct tick labels would fit in it.
constexpr double kLeastRange = 1e-9;

// The smallest number ≥ `least` that is 1, 2 or 5 times a power of ten.
double NiceStep(double least) {
  const double power = std::pow(10, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= least * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

// Shows just enough digits to distinguish neighboring ticks.
std::string LinearLabel(double value, double step, double largest) {
  if (std::abs(value) < step * 1e-6) return "0";
  const int decimals = std::max(0, -static_cast<int>(std::floor(std::log10(step * 1.0001))));
  if (decimals <= 4 && largest < 1e6) return absl::StrFormat("%.*f", decimals, value);
  const int digits = 1 + static_cast<int>(std::floor(std::log10(std::abs(value)) + 1e-9)) -
                     static_cast<int>(std::floor(std::log10(step * 1.0001)));
  return absl::StrFormat("%.*g", std::max(1, digits), value);
}

void AddLinearTicks(Axis& axis, bool whole) {
  double step = NiceStep((axis.high - axis.low) / kTicks);
  if (whole) step = std::max(step, 1.0);
  const double largest = std::max(std::abs(axis.low), std::abs(axis.high));
  const double slack = step * 1e-6;
  const double first = std::ceil((axis.low - slack) / step);
  for (int i = 0; i < kMostTicks && (first + i) * step <= axis.high + slack; ++i) {
    axis.ticks.push_back({(first + i) * step, LinearLabel((first + i) * step, step, largest)});
  }
}

void AddLogarithmicTicks(Axis& axis) {
  const int first = static_cast<int>(std::floor(std::log10(axis.low)));
  const int last = static_cast<int>(std::ceil(std::log10(axis.high)));
  const int apart = std::max(1, (last - first + kTicks) / (kTicks + 1));  // decades between ticks
  for (int decade = first; decade <= last; decade += apart) {
    const double value = std::pow(10, decade);
    if (value >= axis.low && value <= axis.high) axis.ticks.push_back({value, absl::StrFormat("%g", value)});
  }
}

}  // namespace

double Axis::Place(double value) const {
  if (logarithmic) return (std::log(value) - std::log(low)) / (std::log(high) - std::log(low));
  return (value - low) / (high - low);
}

Axis AxisOf(double low, double high, bool whole, bool may_be_logarithmic) {
  low = std::clamp(low, -kLargest, kLargest);
  high = std::clamp(high, -kLargest, kLargest);
  Axis axis{.low = low, .high = high, .logarithmic = may_be_logarithmic && low > 0 && high >= 100 * low, .ticks = {}};
  if (axis.logarithmic) {
    axis.low = low / 1.2;
    axis.high = high * 1.2;
    AddLogarithmicTicks(axis);
    return axis;
  }
  if (whole) {
    if (low == high) axis.high = low + 1;
  } else {
    // Adds a margin, also around a constant. The axis goes below zero only if values do.
    const double largest = std::max(std::abs(low), std::abs(high));
    const double constant_margin = largest > 0 ? 0.1 * largest : 1;
    const double margin = high - low > kLeastRange * largest ? 0.05 * (high - low) : constant_margin;
    axis.low = low >= 0 ? std::max(0.0, low - margin) : low - margin;
    axis.high = high + margin;
  }
  AddLinearTicks(axis, whole);
  return axis;
}

std::string ShortNumber(double value) { return absl::StrFormat("%.5g", value); }

}  // namespace muster
