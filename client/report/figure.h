// A figure over steps, as SVG inside HTML. Pure: the same figure gives the same bytes.
#pragma once

#include <string>
#include <vector>

#include "client/report/buckets.h"

namespace muster {

inline constexpr int kCurveColors = 8;

struct Curve {
  std::string name;   // in the legend; any text
  int color = 0;      // 0 to kCurveColors - 1
  Buckets buckets;
  bool dotted = false;  // also draw a dot at each point; for curves of few points, such as evaluations
};

// A vertical line.
struct Mark {
  double x = 0;
  std::string text;  // any text
};

struct Figure {
  std::string title, unit;  // "Loss", "s"; any text
  std::string note;         // what the figure shows, a sentence; may be empty
  std::vector<Curve> curves;
  std::vector<Mark> marks;
  bool may_be_logarithmic = false;
  bool stacked = false;  // curves are running sums: the area between a curve and the previous one shows their difference
};

// "" if no curve has a point. Each curve also carries its values as text, which the page's script shows at the pointer.
std::string FigureHtml(const Figure& figure);

}  // namespace muster
