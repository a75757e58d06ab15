#include "client/report/axis.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

namespace muster {
namespace {

std::vector<std::string> Labels(const Axis& axis) {
  std::vector<std::string> labels;
  for (const Tick& tick : axis.ticks) labels.push_back(tick.label);
  return labels;
}

// Numbers of every size, and close to each other.
double Draw() {
  const double digits = *rc::gen::inRange(-1000, 1001);
  const double near = *rc::gen::element(0.0, 1.0, 1e6);
  return near + digits * std::pow(10, *rc::gen::inRange(-300, 290));
}

void ExpectReadable(const Axis& axis, double low, double high) {
  RC_ASSERT(axis.ticks.size() >= 2);
  RC_ASSERT(axis.ticks.size() <= 20);
  RC_ASSERT(axis.Place(low) >= -1e-9);
  RC_ASSERT(axis.Place(high) <= 1 + 1e-9);
  std::set<std::string> labels;
  for (size_t i = 0; i < axis.ticks.size(); ++i) {
    const double place = axis.Place(axis.ticks[i].value);
    RC_ASSERT(place >= -1e-6);
    RC_ASSERT(place <= 1 + 1e-6);
    if (i > 0) RC_ASSERT(axis.ticks[i - 1].value < axis.ticks[i].value);
    RC_ASSERT(labels.insert(axis.ticks[i].label).second);
    RC_ASSERT(axis.ticks[i].label.size() <= 20u);
  }
}

RC_GTEST_PROP(AxisOf, HoldsItsValuesAndHasDifferentTicks, ()) {
  double low = Draw(), high = Draw();
  if (low > high) std::swap(low, high);
  RC_LOG() << low << " to " << high << "\n";
  ExpectReadable(AxisOf(low, high, false, false), low, high);
  ExpectReadable(AxisOf(low, high, false, true), low, high);
  ExpectReadable(AxisOf(low, low, false, true), low, low);
}

RC_GTEST_PROP(AxisOf, OfStepsHasWholeTicks, (uint32_t first, uint32_t steps)) {
  const double low = first, high = low + steps;
  const Axis axis = AxisOf(low, high, true, false);
  ExpectReadable(axis, low, high);
  for (const Tick& tick : axis.ticks) RC_ASSERT(tick.value == std::floor(tick.value));
}

TEST(AxisOf, HasRoundTicks) {
  EXPECT_EQ(Labels(AxisOf(0.1, 3.4, false, false)), (std::vector<std::string>{"0", "1", "2", "3"}));
  EXPECT_EQ(Labels(AxisOf(1, 400, true, false)), (std::vector<std::string>{"100", "200", "300", "400"}));
  EXPECT_EQ(Labels(AxisOf(0.612, 0.634, false, false)),
            (std::vector<std::string>{"0.615", "0.620", "0.625", "0.630", "0.635"}));
  EXPECT_EQ(Labels(AxisOf(0, 2e-5, false, false)), (std::vector<std::string>{"0", "5e-06", "1e-05", "1.5e-05", "2e-05"}));
}

TEST(AxisOf, IsLogarithmicOnlyWhereEverythingIsAboveZero) {
  EXPECT_TRUE(AxisOf(0.01, 5, false, true).logarithmic);
  EXPECT_FALSE(AxisOf(0, 5, false, true).logarithmic);
  EXPECT_FALSE(AxisOf(-1, 500, false, true).logarithmic);
  EXPECT_FALSE(AxisOf(1, 99, false, true).logarithmic);
  const Axis axis = AxisOf(0.01, 5, false, true);
  EXPECT_EQ(Labels(axis), (std::vector<std::string>{"0.01", "0.1", "1"}));
  EXPECT_NEAR(axis.Place(0.1) - axis.Place(0.01), axis.Place(1) - axis.Place(0.1), 1e-12);
}

TEST(ShortNumber, HasFiveDigits) {
  EXPECT_EQ(ShortNumber(0.512345), "0.51235");
  EXPECT_EQ(ShortNumber(2e-5), "2e-05");
  EXPECT_EQ(ShortNumber(0), "0");
}

}  // namespace
}  // namespace muster
