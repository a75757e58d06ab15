// StudyHtml: the report as a page, with a figure of each metric's means.
#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/html_text.h"
#include "client/runs/run_flags.h"
#include "client/study/study_report.h"
#include "client/words.h"

namespace muster {
namespace {

constexpr absl::string_view kStudyStyle =
    ":root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}"
    "h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}.wide{overflow-x:auto}table{border-collapse:collapse}"
    "th,td{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top;white-space:nowrap}th{border-bottom:1px solid #888}"
    "svg{max-width:100%;height:auto;font:13px system-ui,sans-serif}text{fill:currentColor}line{stroke:currentColor}"
    "circle{fill:#4a7ebb}.each{fill:none;stroke:#4a7ebb}.grid{stroke:#8886}.yes{font-weight:600}li{overflow-wrap:anywhere}";

std::string HtmlTable(const std::vector<std::vector<std::string>>& rows) {
  if (rows.size() < 2) return "";
  std::string html = "<div class=\"wide\"><table>\n";
  for (size_t r = 0; r < rows.size(); ++r) {
    const char* cell = r == 0 ? "th" : "td";
    html += rows[r].back() == "yes" ? "<tr class=\"yes\">" : "<tr>";
    for (const std::string& text : rows[r]) absl::StrAppend(&html, "<", cell, ">", EscapedHtml(text), "</", cell, ">");
    html += "</tr>\n";
  }
  return html + "</table></div>\n";
}

std::string HtmlList(const std::vector<std::string>& texts) {
  if (texts.empty()) return "";
  std::string html = "<ul>\n";
  for (const std::string& text : texts) absl::StrAppend(&html, "<li>", EscapedHtml(text), "</li>\n");
  return html + "</ul>\n";
}

// The horizontal scale of a figure: values between two round ends.
struct Scale {
  double low = 0, high = 1, step = 0.2;
  double Place(double value) const { return (value - low) / (high - low); }
};

Scale ScaleOf(const std::vector<const ArmFigure*>& arms) {
  double low = 1, high = 0;
  for (const ArmFigure* arm : arms) {
    low = std::min({low, arm->interval.low, *std::min_element(arm->values.begin(), arm->values.end())});
    high = std::max({high, arm->interval.high, *std::max_element(arm->values.begin(), arm->values.end())});
  }
  const double range = std::max(high - low, 1e-3);
  double step = std::pow(10, std::floor(std::log10(range / 4)));
  while (range / step > 8) step *= 2;
  return {std::floor(low / step) * step, std::ceil((high + step * 1e-9) / step) * step, step};
}

// A row per arm: a dot at the mean, a line for the interval, and a circle per seed.
std::string MeansFigure(const StudyFile& study, const StudyFigures& figures, size_t metric) {
  constexpr int kRow = 26, kTop = 8, kAxis = 30, kWidth = 1000, kRight = 30, kLetter = 8;
  std::vector<const ArmFigure*> arms;
  size_t longest = 0;
  for (const ArmFigure& arm : figures.arms) {
    if (arm.metric != metric) continue;
    arms.push_back(&arm);
    longest = std::max(longest, static_cast<size_t>(ColumnsOf(study.arms[arm.arm].label)));
  }
  if (arms.empty()) return "";
  const Scale scale = ScaleOf(arms);
  const int left = static_cast<int>(std::min<size_t>(longest * kLetter + 10, 600));
  const int bottom = kTop + kRow * static_cast<int>(arms.size());
  const auto x = [&](double value) { return absl::StrFormat("%.1f", left + (kWidth - kRight - left) * scale.Place(value)); };
  std::string svg = absl::StrFormat("<svg viewBox=\"0 0 %d %d\" width=\"%d\" role=\"img\" aria-label=\"Means of %s by arm\">\n",
                                    kWidth, bottom + kAxis, kWidth, EscapedHtml(study.metrics[metric]));
  const int ticks = static_cast<int>(std::lround((scale.high - scale.low) / scale.step));
  for (int i = 0; i <= ticks; ++i) {
    const double value = scale.low + i * scale.step;
    absl::StrAppendFormat(&svg, "<line class=\"grid\" x1=\"%s\" y1=\"%d\" x2=\"%s\" y2=\"%d\"/>", x(value), kTop, x(value),
                          bottom);
    absl::StrAppendFormat(&svg, "<text x=\"%s\" y=\"%d\" text-anchor=\"middle\">%.*f</text>\n", x(value), bottom + 18,
                          std::max(0, static_cast<int>(std::ceil(-std::log10(scale.step) - 1e-9))), value);
  }
  for (size_t a = 0; a < arms.size(); ++a) {
    const ArmFigure& arm = *arms[a];
    const int y = kTop + kRow * static_cast<int>(a) + kRow / 2;
    absl::StrAppendFormat(&svg, "<text x=\"0\" y=\"%d\">%s</text>", y + 5, EscapedHtml(study.arms[arm.arm].label));
    for (const double value : arm.values) {
      absl::StrAppendFormat(&svg, "<circle class=\"each\" cx=\"%s\" cy=\"%d\" r=\"3\"/>", x(value), y);
    }
    if (arm.values.size() > 1) {
      absl::StrAppendFormat(&svg, "<line x1=\"%s\" y1=\"%d\" x2=\"%s\" y2=\"%d\" stroke-width=\"2\"/>", x(arm.interval.low), y,
                            x(arm.interval.high), y);
    }
    absl::StrAppendFormat(&svg, "<circle cx=\"%s\" cy=\"%d\" r=\"5\"><title>%s: %s</title></circle>\n", x(arm.mean), y,
                          EscapedHtml(study.arms[arm.arm].label), MetricCell(arm.mean));
  }
  return svg + "</svg>\n";
}

}  // namespace

std::string StudyHtml(const StudyFile& study, const StudyFigures& figures) {
  std::string html = absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" "
      "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<meta name=\"viewport\" "
      "content=\"width=device-width\">\n<title>Study ",
      study.name, "</title>\n<style>", kStudyStyle, "</style></head>\n<body>\n<h1>Study ", study.name, "</h1>\n<p>",
      Plural(study.arms.size(), "arm"), ", ", Plural(study.seeds.size(), "seed"), ", ", Plural(study.cells.size(), "job"),
      ".</p>\n");
  if (!figures.notes.empty()) absl::StrAppend(&html, "<h2>Notes</h2>\n", HtmlList(figures.notes));
  for (size_t m = 0; m < study.metrics.size(); ++m) {
    std::vector<std::string> verdicts;
    for (const PairFigure& pair : figures.pairs) {
      if (pair.metric == m) verdicts.push_back(absl::StrCat(pair.verdict, "."));
    }
    absl::StrAppend(&html, "<h2>", EscapedHtml(study.metrics[m]),
                    "</h2>\n<p>Dots: means over seeds, with 95% intervals. Circles: "
                    "single seeds.</p>\n",
                    MeansFigure(study, figures, m), HtmlTable(StudyArmRows(study, figures, m)), "<h3>Comparisons</h3>\n",
                    HtmlList(verdicts), HtmlTable(StudyPairRows(study, figures, m)));
  }
  return absl::StrCat(html, "<h2>Method</h2>\n", HtmlList(StudyMethod(study, figures)), "</body></html>\n");
}

}  // namespace muster
