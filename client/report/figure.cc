#include "client/report/figure.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/html_text.h"
#include "client/report/axis.h"
#include "client/words.h"

namespace muster {
namespace {

// Sizes and edges, in units of the SVG's view box.
constexpr double kWidth = 640, kHeight = 250, kLeft = 60, kRight = 628, kTop = 10, kBottom = 216;

struct Scales {
  Axis x, y;
  double X(double value) const { return kLeft + (kRight - kLeft) * x.Place(value); }
  double Y(double value) const { return kBottom - (kBottom - kTop) * y.Place(value); }
};

Scales ScalesOf(const Figure& figure) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  double left = kInfinity, right = -kInfinity, low = figure.stacked ? 0 : kInfinity, high = -kInfinity;
  for (const Curve& curve : figure.curves) {
    for (const Bucket& bucket : curve.buckets.all) {
      left = std::min(left, bucket.first);
      right = std::max(right, bucket.last);
      low = std::min(low, figure.stacked ? bucket.mean : bucket.low);
      high = std::max(high, figure.stacked ? bucket.mean : bucket.high);
    }
  }
  return {.x = AxisOf(left, right, /*whole=*/true, false), .y = AxisOf(low, high, false, figure.may_be_logarithmic)};
}

// Splits the buckets at gaps: [begin, end) of each run.
std::vector<std::pair<size_t, size_t>> RunsOf(const std::vector<Bucket>& buckets) {
  std::vector<std::pair<size_t, size_t>> runs;
  for (size_t i = 0; i < buckets.size(); ++i) {
    if (i == 0 || buckets[i].after_gap) runs.emplace_back(i, i);
    runs.back().second = i + 1;
  }
  return runs;
}

// Builds the `d` attribute of an SVG path from points.
class PathData {
 public:
  void Add(double x, double y) {
    absl::StrAppendFormat(&text_, "%s%.1f %.1f", begins_ ? "M" : "L", x, y);
    begins_ = false;
  }
  void Close() {
    text_ += "Z";
    begins_ = true;
  }
  // A run of one point becomes a line of length 0, which round line caps show as a dot.
  void End(bool is_point) {
    if (is_point) text_ += "h0";
    begins_ = true;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  bool begins_ = true;
};

std::string LineOf(const std::vector<Bucket>& buckets, const Scales& scales) {
  PathData path;
  for (const auto& [begin, end] : RunsOf(buckets)) {
    for (size_t i = begin; i < end; ++i) path.Add(scales.X(buckets[i].Middle()), scales.Y(buckets[i].mean));
    path.End(end - begin == 1);
  }
  return path.text();
}

// The band between each bucket's smallest and largest value.
std::string BandOf(const std::vector<Bucket>& buckets, const Scales& scales) {
  PathData path;
  for (const auto& [begin, end] : RunsOf(buckets)) {
    for (size_t i = begin; i < end; ++i) path.Add(scales.X(buckets[i].Middle()), scales.Y(buckets[i].high));
    for (size_t i = end; i-- > begin;) path.Add(scales.X(buckets[i].Middle()), scales.Y(buckets[i].low));
    path.Close();
  }
  return path.text();
}

// The area between a curve and `lower` or, if that is null, zero.
std::string AreaOf(const std::vector<Bucket>& upper, const std::vector<Bucket>* lower, const Scales& scales) {
  PathData path;
  for (const auto& [begin, end] : RunsOf(upper)) {
    for (size_t i = begin; i < end; ++i) path.Add(scales.X(upper[i].Middle()), scales.Y(upper[i].mean));
    for (size_t i = end; i-- > begin;) {
      path.Add(scales.X(upper[i].Middle()), scales.Y(lower != nullptr ? (*lower)[i].mean : 0));
    }
    path.Close();
  }
  return path.text();
}

// Attributes for the page's script: each bucket's position, steps, and values as text. Values are differences to `lower`.
std::string ValuesOf(const Curve& curve, const std::vector<Bucket>* lower, const Scales& scales) {
  std::string places, steps, values;
  for (size_t i = 0; i < curve.buckets.all.size(); ++i) {
    const Bucket& bucket = curve.buckets.all[i];
    const char* space = i == 0 ? "" : " ";
    const char* bar = i == 0 ? "" : "|";
    absl::StrAppendFormat(&places, "%s%.1f", space, scales.X(bucket.Middle()));
    absl::StrAppendFormat(&steps, "%s%.0f", space, bucket.first);
    if (bucket.last > bucket.first) absl::StrAppendFormat(&steps, "-%.0f", bucket.last);
    absl::StrAppend(&values, bar, ShortNumber(lower != nullptr ? bucket.mean - (*lower)[i].mean : bucket.mean));
    const bool has_range = curve.buckets.width > 0 && bucket.high > bucket.low && lower == nullptr;
    if (has_range) absl::StrAppend(&values, " (", ShortNumber(bucket.low), " to ", ShortNumber(bucket.high), ")");
  }
  return absl::StrCat(" data-x=\"", places, "\" data-s=\"", steps, "\" data-v=\"", values, "\" data-name=\"",
                      EscapedHtml(curve.name), "\"");
}

std::string GridOf(const Scales& scales) {
  std::string svg;
  for (const Tick& tick : scales.y.ticks) {
    const double y = scales.Y(tick.value);
    absl::StrAppendFormat(&svg,
                          "<path class=\"grid\" d=\"M%.0f %.1fH%.0f\"/><text class=\"end\" x=\"%.0f\" y=\"%.1f\">%s</text>",
                          kLeft, y, kRight, kLeft - 6, y + 4, tick.label);
  }
  for (const Tick& tick : scales.x.ticks) {
    const double x = scales.X(tick.value);
    absl::StrAppendFormat(&svg, "<text class=\"middle\" x=\"%.1f\" y=\"%.0f\">%s</text>", x, kBottom + 16, tick.label);
  }
  absl::StrAppendFormat(&svg,
                        "<path class=\"axis\" d=\"M%.0f %.0fH%.0f\"/><text class=\"end\" x=\"%.0f\" y=\"%.0f\">step</text>",
                        kLeft, kBottom, kRight, kRight, kBottom + 30);
  return svg;
}

std::string MarkLines(const Figure& figure, const Scales& scales) {
  std::string svg;
  for (const Mark& mark : figure.marks) {
    if (mark.x < scales.x.low || mark.x > scales.x.high) continue;
    absl::StrAppendFormat(&svg, "<path class=\"mark\" d=\"M%.1f %.0fV%.0f\"><title>%s</title></path>", scales.X(mark.x), kTop,
                          kBottom, EscapedHtml(mark.text));
  }
  return svg;
}

std::string CurvesOf(const Figure& figure, const Scales& scales) {
  std::string svg;
  const std::vector<Bucket>* lower = nullptr;
  for (const Curve& curve : figure.curves) {
    const std::vector<Bucket>& buckets = curve.buckets.all;
    const std::string color = absl::StrCat("c", curve.color % kCurveColors);
    if (figure.stacked) {
      absl::StrAppend(&svg, "<path class=\"area ", color, "\" d=\"", AreaOf(buckets, lower, scales), "\"",
                      ValuesOf(curve, lower, scales), "/>\n");
      lower = &buckets;
      continue;
    }
    if (buckets.empty()) continue;
    if (curve.buckets.width > 0) {
      absl::StrAppend(&svg, "<path class=\"band ", color, "\" d=\"", BandOf(buckets, scales), "\"/>");
    }
    absl::StrAppend(&svg, "<path class=\"line ", color, "\" d=\"", LineOf(buckets, scales), "\"",
                    ValuesOf(curve, nullptr, scales), "/>\n");
    if (!curve.dotted && buckets.size() > 1) continue;
    for (const Bucket& bucket : buckets) {
      absl::StrAppendFormat(&svg, "<circle class=\"dot %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/>", color,
                            scales.X(bucket.Middle()), scales.Y(bucket.mean));
    }
  }
  return svg;
}

std::string LegendOf(const Figure& figure) {
  if (figure.curves.size() < 2) return "";
  std::string html = "<ul class=\"legend\">";
  for (const Curve& curve : figure.curves) {
    absl::StrAppend(&html, "<li><i class=\"c", curve.color % kCurveColors, "\"></i>", EscapedHtml(curve.name), "</li>");
  }
  return html + "</ul>";
}

// Whether every bucket of every curve, except each curve's last one, has this many points.
bool AllHave(const Figure& figure, double points) {
  for (const Curve& curve : figure.curves) {
    for (size_t i = 0; i + 1 < curve.buckets.all.size(); ++i) {
      if (static_cast<double>(curve.buckets.all[i].points) != points) return false;
    }
  }
  return true;
}

// Tells the reader how steps were joined and which were left out. "" if the figure draws every step.
std::string HowDrawn(const Figure& figure, const Scales& scales) {
  double width = 0;
  size_t left_out = 0;
  double first_left_out = std::numeric_limits<double>::infinity();
  for (const Curve& curve : figure.curves) {
    width = std::max(width, curve.buckets.width);
    left_out = std::max(left_out, curve.buckets.left_out);
    if (curve.buckets.left_out > 0) first_left_out = std::min(first_left_out, curve.buckets.first_left_out);
  }
  std::string text;
  if (scales.y.logarithmic) text += " The scale is logarithmic.";
  if (width > 0) {
    const std::string band = figure.stacked ? "" : "; the band ranges from their smallest to their largest value";
    absl::StrAppend(&text, " Each point is the mean of ", AllHave(figure, width) ? "" : "up to ",
                    Plural(static_cast<uint64_t>(width), "step"), band, ".");
  }
  if (left_out > 0) {
    absl::StrAppendFormat(&text, " %s without a finite value (the first: step %.0f) %s left out.", Plural(left_out, "step"),
                          first_left_out, left_out == 1 ? "is" : "are");
  }
  return text;
}

// The figure in words, for screen readers.
std::string Description(const Figure& figure) {
  std::string text = absl::StrCat(figure.title, " by step");
  for (const Curve& curve : figure.curves) {
    if (curve.buckets.all.empty() || figure.stacked) continue;
    const Bucket &first = curve.buckets.all.front(), &last = curve.buckets.all.back();
    absl::StrAppendFormat(&text, "; %s%s%s at step %.0f to %s at step %.0f", curve.name, curve.name.empty() ? "" : " from ",
                          ShortNumber(first.mean), first.first, ShortNumber(last.mean), last.last);
  }
  return text;
}

}  // namespace

std::string FigureHtml(const Figure& figure) {
  const bool is_empty =
      std::all_of(figure.curves.begin(), figure.curves.end(), [](const Curve& curve) { return curve.buckets.all.empty(); });
  if (is_empty) return "";
  const Scales scales = ScalesOf(figure);
  const std::string unit =
      figure.unit.empty() ? "" : absl::StrCat(" <span class=\"unit\">", EscapedHtml(figure.unit), "</span>");
  return absl::StrCat("<figure class=\"plot\"><figcaption><strong>", EscapedHtml(figure.title), "</strong>", unit,
                      "</figcaption>\n<svg viewBox=\"0 0 ", kWidth, " ", kHeight, "\" role=\"img\" aria-label=\"",
                      EscapedHtml(Description(figure)), "\">\n", GridOf(scales), "\n", MarkLines(figure, scales),
                      CurvesOf(figure, scales), "<path class=\"rule\" d=\"M0 ", kTop, "V", kBottom,
                      "\"/></svg><div class=\"tip\" hidden></div>", LegendOf(figure), "<p class=\"note\">",
                      EscapedHtml(figure.note), EscapedHtml(HowDrawn(figure, scales)), "</p></figure>\n");
}

}  // namespace muster
