// The distributions that the tests and intervals need, from Boost.Math. Only quantiles.cc includes its headers, because
// they take seconds to compile.
#pragma once

namespace muster {

double NormalDistribution(double x);
double NormalQuantile(double probability);  // probability in (0, 1)

// `degrees`: degrees of freedom, above 0.
double StudentQuantile(double probability, double degrees);
double StudentTwoSided(double t, double degrees);  // probability of a value at least as far from 0 as t

// The distribution of (Z + shift) / sqrt(X / degrees), X chi-squared: the distribution of a t statistic if there is a
// difference.
double NoncentralStudentDistribution(double t, double degrees, double shift);

}  // namespace muster
