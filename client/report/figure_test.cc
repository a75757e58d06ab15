#include "client/report/figure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace muster {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

Buckets Of(const std::vector<double>& y, size_t most = 100) {
  std::vector<double> x;
  for (size_t i = 0; i < y.size(); ++i) x.push_back(static_cast<double>(i + 1));
  return BucketsOf(x, y, most);
}

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t found = text.find(part); found != std::string::npos; found = text.find(part, found + 1)) ++count;
  return count;
}

TEST(FigureHtml, HasALineAndItsValues) {
  const Figure figure = {.title = "Loss", .unit = "nats", .note = "A note.", .curves = {{.buckets = Of({3, 2, 1})}}};
  const std::string html = FigureHtml(figure);
  EXPECT_THAT(html, HasSubstr("<strong>Loss</strong> <span class=\"unit\">nats</span>"));
  EXPECT_THAT(html, HasSubstr("<path class=\"line c0\" d=\"M60.0 "));
  EXPECT_THAT(html, HasSubstr("data-s=\"1 2 3\" data-v=\"3|2|1\""));
  EXPECT_THAT(html, HasSubstr("aria-label=\"Loss by step; 3 at step 1 to 1 at step 3\""));
  EXPECT_THAT(html, HasSubstr("<p class=\"note\">A note.</p>"));
  EXPECT_THAT(html, Not(HasSubstr("class=\"band"))) << "every step is drawn";
  EXPECT_EQ(html, FigureHtml(figure));
}

TEST(FigureHtml, SaysWhatWasJoinedAndLeftOut) {
  std::vector<double> y(1000, 1.0);
  y[500] = std::numeric_limits<double>::quiet_NaN();
  y[600] = 9;
  const std::string html = FigureHtml({.title = "x", .curves = {{.buckets = Of(y)}}});
  EXPECT_THAT(html, HasSubstr("class=\"band c0\""));
  EXPECT_THAT(html, HasSubstr("Each point is the mean of up to 10 steps; the band ranges from their smallest to their largest "
                              "value."));
  EXPECT_THAT(html, HasSubstr("1 step without a finite value (the first: step 501) is left out."));
  EXPECT_THAT(html, HasSubstr("601-610"));
  EXPECT_THAT(html, HasSubstr("1.8 (1 to 9)"));
  const Figure whole = {.title = "x", .curves = {{.buckets = Of(std::vector<double>(1000, 1.0))}}};
  EXPECT_THAT(FigureHtml(whole), HasSubstr("is the mean of 10 steps"));
}

TEST(FigureHtml, BreaksLinesAtGaps) {
  const std::string html =
      FigureHtml({.title = "x", .curves = {{.buckets = Of({1, NAN, 3, 4, NAN, 5})}}});
  const size_t line = html.find("class=\"line c0\" d=\"");
  const std::string path = html.substr(line, html.find("\" data-x", line) - line);
  EXPECT_EQ(Count(path, "M"), 3u);
  EXPECT_EQ(Count(path, "L"), 1u);
  EXPECT_EQ(Count(path, "h0"), 2u) << "single points are dots";
}

TEST(FigureHtml, StacksRunningSums) {
  const std::string html = FigureHtml(
      {.title = "Phases",
       .curves = {{.name = "data", .color = 0, .buckets = Of({1, 1})}, {.name = "encode", .color = 1, .buckets = Of({4, 3})}},
       .stacked = true});
  EXPECT_EQ(Count(html, "class=\"area "), 2u);
  EXPECT_THAT(html, HasSubstr("data-v=\"3|2\" data-name=\"encode\"")) << "each phase's own seconds";
  EXPECT_THAT(html, HasSubstr(">0</text>")) << "from zero";
}

TEST(FigureHtml, EscapesEveryText) {
  const std::string evil = "</svg><script>alert(1)</script>\"onload='x'";
  const std::string html = FigureHtml({.title = evil, .unit = evil, .note = evil,
                                       .curves = {{.name = evil, .buckets = Of({1, 2})}, {.name = evil, .buckets = Of({1, 2})}},
                                       .marks = {{1.5, evil}}});
  EXPECT_THAT(html, AllOf(Not(HasSubstr("<script")), Not(HasSubstr("\"onload"))));
  EXPECT_EQ(Count(html, "</svg>"), 1u);
  EXPECT_EQ(Count(html, "&lt;script&gt;"), 11u)
      << "title, unit, note, mark; of each curve legend, values and description; the description's own title";
}

TEST(FigureHtml, WithoutAPointIsNothing) {
  EXPECT_EQ(FigureHtml({.title = "x"}), "");
  EXPECT_EQ(FigureHtml({.title = "x", .curves = {{.buckets = Of({NAN})}, {.buckets = Of({})}}}), "");
}

TEST(FigureHtml, OfOneStepIsADot) {
  const std::string html = FigureHtml({.title = "x", .curves = {{.buckets = Of({0})}}});
  EXPECT_THAT(html, HasSubstr("<circle class=\"dot c0\" cx=\"60.0\" cy=\"216.0\""));
  EXPECT_THAT(html, Not(HasSubstr("nan")));
  EXPECT_THAT(html, Not(HasSubstr("inf")));
}

}  // namespace
}  // namespace muster
