#include "common/statistics/quantiles.h"

#include <algorithm>
#include <boost/math/distributions/non_central_t.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>

namespace muster {
namespace {

// Errors become infinities and NaNs instead of exceptions, and nothing is promoted to long double.
using Policy = boost::math::policies::policy<
    boost::math::policies::domain_error<boost::math::policies::ignore_error>,
    boost::math::policies::overflow_error<boost::math::policies::ignore_error>,
    boost::math::policies::evaluation_error<boost::math::policies::ignore_error>,
    boost::math::policies::pole_error<boost::math::policies::ignore_error>,
    boost::math::policies::promote_double<false>>;
using Normal01 = boost::math::normal_distribution<double, Policy>;
using Student = boost::math::students_t_distribution<double, Policy>;
using NoncentralStudent = boost::math::non_central_t_distribution<double, Policy>;

}  // namespace

double NormalDistribution(double x) {
  if (std::isinf(x)) return x > 0 ? 1 : 0;
  return boost::math::cdf(Normal01(), x);
}

double NormalQuantile(double probability) { return boost::math::quantile(Normal01(), probability); }

double StudentQuantile(double probability, double degrees) {
  return boost::math::quantile(Student(degrees), probability);
}

double StudentTwoSided(double t, double degrees) {
  if (std::isinf(t)) return 0;
  return std::min(1.0, 2 * boost::math::cdf(boost::math::complement(Student(degrees), std::abs(t))));
}

double NoncentralStudentDistribution(double t, double degrees, double shift) {
  return std::clamp(boost::math::cdf(NoncentralStudent(degrees, shift), t), 0.0, 1.0);
}

}  // namespace muster
