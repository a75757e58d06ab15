#include "client/report/job_figures.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/progress.h"

namespace muster {
namespace {

using muster::v1::Evaluation;

constexpr size_t kMostPoints = 1000;      // of one figure, over all of its curves
constexpr size_t kMostPointsOfCurve = 500;

size_t MostPoints(size_t curves) { return std::min(kMostPointsOfCurve, kMostPoints / std::max<size_t>(curves, 1)); }

// A figure that shows one column of the step table.
struct ColumnFigure {
  const char *column, *title, *unit, *note;
  bool may_be_logarithmic = false;
};
constexpr char kWeightNote[] =
    "Entropy of the weight that the gradient gives to a query's positives, mean over the queries of a step: 0 where one "
    "positive has all of it, ln k where k positives share it equally.";
constexpr char kPlaceNote[] =
    "Mean share of the gradient over a query's positives that its most similar positive has (place 1), the second most similar "
    "one, and so on. Queries with two positives or more count.";
constexpr char kNoiseNote[] =
    "Share of the gradient over positives that falls on the false ones which data.noise put there.";
constexpr char kSimilarityNote[] = "Mean over the global batch, before the temperature.";
constexpr ColumnFigure kLoss = {"loss", "Loss", "", "Loss of each step's global batch.", true};
constexpr ColumnFigure kGradientNorm = {"gradient_norm", "Gradient norm", "before clipping", "", true};
constexpr ColumnFigure kLearningRate = {"learning_rate", "Learning rate", "", "", false};
constexpr ColumnFigure kWeight = {"positive_entropy", "Gradient weight over positives", "nats", kWeightNote, false};
constexpr ColumnFigure kFirstPlace = {"positive_weight_1", "Gradient on the most similar positive", "share", kPlaceNote, false};
constexpr ColumnFigure kNoise = {"noise_weight", "Gradient on injected false positives", "share", kNoiseNote, false};
constexpr ColumnFigure kRate = {"queries_per_second", "Speed", "queries per second",
                                "Over the whole step, including the wait for its data.", false};
constexpr ColumnFigure kSeconds = {"seconds", "Seconds per step", "s", "On rank 0.", false};
constexpr ColumnFigure kPositive = {"mean_positive", "Similarity of positives", "", kSimilarityNote, false};
constexpr ColumnFigure kNegative = {"mean_negative", "Similarity of negatives", "", kSimilarityNote, false};

Curve CurveOf(const StepTable& steps, const char* column, std::string name, int color, size_t most) {
  return {.name = std::move(name), .color = color, .buckets = BucketsOf(steps.steps(), steps.Column(column), most)};
}

Figure EmptyFigure(const ColumnFigure& what) {
  return {.title = what.title, .unit = what.unit, .note = what.note, .may_be_logarithmic = what.may_be_logarithmic};
}

// False if every query has one positive, so that there is nothing to share.
bool SharesWeight(const StepTable& steps) {
  const std::vector<double>& entropy = steps.Column(kWeight.column);
  return std::any_of(entropy.begin(), entropy.end(), [](double value) { return value > 0; });
}

// Whether the evaluated weights are those of a known step. The label "trained" may mean the best weights, from any step.
bool IsOfItsStep(const Evaluation& evaluation) {
  return evaluation.label() == "untrained" || absl::StartsWith(evaluation.label(), "step-");
}

using SetName = std::pair<std::string, std::string>;  // dataset, split

// Sets that were evaluated during training.
std::vector<SetName> EvaluatedSets(const muster::v1::Job& job) {
  std::vector<SetName> sets;
  for (const Evaluation& evaluation : job.evaluations()) {
    const SetName name(evaluation.dataset(), evaluation.split());
    if (!absl::StartsWith(evaluation.label(), "step-")) continue;
    if (std::find(sets.begin(), sets.end(), name) == sets.end()) sets.push_back(name);
  }
  return sets;
}

std::vector<std::string> MetricsOf(const muster::v1::Job& job, const SetName& set) {
  for (const Evaluation& evaluation : job.evaluations()) {
    if (SetName(evaluation.dataset(), evaluation.split()) == set) return OrderedMetricNames(evaluation);
  }
  return {};
}

Curve MetricCurve(const muster::v1::Job& job, const SetName& set, const std::string& metric, std::string name, int color) {
  std::vector<std::pair<double, double>> points;
  for (const Evaluation& evaluation : job.evaluations()) {
    if (SetName(evaluation.dataset(), evaluation.split()) != set || !IsOfItsStep(evaluation)) continue;
    const auto found = evaluation.metrics().find(metric);
    if (found != evaluation.metrics().end()) points.emplace_back(static_cast<double>(evaluation.step()), found->second);
  }
  std::stable_sort(points.begin(), points.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<double> x, y;
  for (const auto& [step, value] : points) {
    x.push_back(step);
    y.push_back(value);
  }
  return {.name = std::move(name), .color = color, .buckets = BucketsOf(x, y, kMostPointsOfCurve), .dotted = true};
}

std::string TextOf(const SetName& set) { return absl::StrCat(set.first, "/", set.second); }

std::vector<Figure> MetricFigures(const muster::v1::Job& job) {
  std::vector<Figure> figures;
  const std::vector<SetName> sets = EvaluatedSets(job);
  std::vector<std::string> metrics;  // of all sets
  for (const SetName& set : sets) {
    for (const std::string& metric : MetricsOf(job, set)) {
      if (std::find(metrics.begin(), metrics.end(), metric) == metrics.end()) metrics.push_back(metric);
    }
  }
  for (const std::string& metric : metrics) {
    Figure figure{.title = metric, .unit = sets.size() == 1 ? TextOf(sets[0]) : "", .note = "Evaluations during training."};
    for (size_t s = 0; s < sets.size(); ++s) {
      figure.curves.push_back(MetricCurve(job, sets[s], metric, TextOf(sets[s]), static_cast<int>(s)));
    }
    figures.push_back(std::move(figure));
  }
  return figures;
}

// The metric that selected the best model or, if that is not known, the first.
std::string LeadingMetric(const muster::v1::Job& job, const SetName& set) {
  const std::vector<std::string> metrics = MetricsOf(job, set);
  const std::string& selects = job.spec().evaluate().metric();
  return metrics.empty() || std::find(metrics.begin(), metrics.end(), selects) != metrics.end() ? selects : metrics[0];
}

std::vector<Figure> MetricFigures(absl::Span<const ReportedJob> jobs, const std::vector<std::string>& labels) {
  std::vector<std::pair<SetName, std::string>> shown;  // set, metric
  for (const ReportedJob& one : jobs) {
    for (const SetName& set : EvaluatedSets(one.job)) {
      std::pair<SetName, std::string> entry(set, LeadingMetric(one.job, set));
      if (std::find(shown.begin(), shown.end(), entry) == shown.end()) shown.push_back(std::move(entry));
    }
  }
  std::vector<Figure> figures;
  for (const auto& [set, metric] : shown) {
    Figure figure{.title = metric, .unit = TextOf(set), .note = "Evaluations during training."};
    for (size_t j = 0; j < jobs.size(); ++j) {
      figure.curves.push_back(MetricCurve(jobs[j].job, set, metric, labels[j], static_cast<int>(j)));
    }
    figures.push_back(std::move(figure));
  }
  return figures;
}

// Running sums of the phases' seconds, one vector per phase with one value per row of the step log. The last vector adds
// "other". Rows without phases are NaN in all of them.
std::vector<std::vector<double>> PhaseSums(const StepTable& steps) {
  std::vector<std::vector<double>> sums;
  const size_t rows = steps.logged();
  std::vector<double> sum(rows, 0);
  std::vector<bool> known(rows, false);
  for (const std::string& phase : steps.phases()) {
    const std::vector<double>& seconds = steps.Column(phase + "_seconds");
    for (size_t i = 0; i < rows; ++i) {
      if (!std::isfinite(seconds[i])) continue;
      sum[i] += seconds[i];
      known[i] = true;
    }
    sums.push_back(sum);
  }
  const std::vector<double>& whole = steps.Column("seconds");
  for (size_t i = 0; i < rows; ++i) {
    if (std::isfinite(whole[i])) sum[i] = std::max(sum[i], whole[i]);
  }
  sums.push_back(sum);
  for (std::vector<double>& column : sums) {
    for (size_t i = 0; i < rows; ++i) {
      if (!known[i]) column[i] = std::numeric_limits<double>::quiet_NaN();
    }
  }
  return sums;
}

std::vector<std::string> PhaseNames(const StepTable& steps) {
  std::vector<std::string> names = steps.phases();
  names.push_back("other");
  return names;
}

Figure PhaseFigure(const StepTable& steps) {
  Figure figure{.title = "Seconds per step by phase", .unit = "s",
                .note = "On rank 0; \"other\" is the rest of the step's time.", .stacked = true};
  if (steps.phases().empty()) return figure;
  const std::vector<std::vector<double>> sums = PhaseSums(steps);
  const std::vector<std::string> names = PhaseNames(steps);
  const auto x = absl::MakeConstSpan(steps.steps()).first(steps.logged());
  for (size_t p = 0; p < sums.size(); ++p) {
    const int color = static_cast<int>(p);
    figure.curves.push_back({.name = names[p], .color = color, .buckets = BucketsOf(x, sums[p], kMostPointsOfCurve)});
  }
  return figure;
}

// Where later attempts continue, and where later stages begin.
std::vector<Mark> MarksOf(const muster::v1::Job& job) {
  std::vector<Mark> marks;
  uint64_t begins = 0;
  for (int s = 0; s < job.resolved().stages_size(); ++s) {
    const double place = static_cast<double>(begins) + 0.5;
    if (s > 0) marks.push_back({place, absl::StrCat("stage ", s + 1, " begins after step ", begins)});
    begins += job.resolved().stages(s).steps();
  }
  for (const auto& attempt : job.attempts()) {
    if (attempt.from_step() == 0) continue;
    marks.push_back({static_cast<double>(attempt.from_step()),
                     absl::StrCat("attempt ", attempt.number(), " continues from step ", attempt.from_step())});
  }
  return marks;
}

Figure SimilarityFigure(const StepTable& steps) {
  Figure figure{.title = "Similarity", .unit = "", .note = kSimilarityNote};
  figure.curves.push_back(CurveOf(steps, kPositive.column, "positives", 0, MostPoints(2)));
  figure.curves.push_back(CurveOf(steps, kNegative.column, "negatives", 1, MostPoints(2)));
  return figure;
}

Figure PlaceFigure(const StepTable& steps) {
  Figure figure{.title = "Gradient by place of the positive", .unit = "share", .note = kPlaceNote};
  for (int place = 1; place <= kCurveColors; ++place) {
    const std::string column = absl::StrCat("positive_weight_", place);
    if (!steps.HasValues(column)) break;
    figure.curves.push_back(
        CurveOf(steps, column.c_str(), absl::StrCat("place ", place), place - 1, MostPoints(kCurveColors)));
  }
  return figure;
}

}  // namespace

std::vector<Figure> FiguresOfJob(const ReportedJob& job) {
  std::vector<Figure> figures = MetricFigures(job.job);
  const auto add = [&](const ColumnFigure& what) {
    Figure figure = EmptyFigure(what);
    figure.curves.push_back(CurveOf(job.steps, what.column, "", 0, MostPoints(1)));
    figures.push_back(std::move(figure));
  };
  add(kLoss);
  if (SharesWeight(job.steps)) add(kWeight);
  if (job.steps.HasValues("positive_weight_2")) figures.push_back(PlaceFigure(job.steps));
  if (job.steps.HasValues(kNoise.column)) add(kNoise);
  figures.push_back(SimilarityFigure(job.steps));
  add(kGradientNorm);
  add(kLearningRate);
  if (job.steps.phases().empty()) {
    add(kSeconds);
  } else {
    figures.push_back(PhaseFigure(job.steps));
  }
  add(kRate);
  const std::vector<Mark> marks = MarksOf(job.job);
  for (Figure& figure : figures) {
    figure.marks = marks;
    if (!marks.empty()) figure.note += " Dashed lines mark where a new attempt continues or a new stage begins.";
  }
  return figures;
}

std::vector<Figure> FiguresOfJobs(absl::Span<const ReportedJob> jobs) {
  const std::vector<std::string> labels = LabelsOf(jobs);
  std::vector<Figure> figures = MetricFigures(jobs, labels);
  for (const ColumnFigure& what : {kLoss, kWeight, kFirstPlace, kNoise, kPositive, kNegative, kGradientNorm, kLearningRate,
                                   kSeconds, kRate}) {
    Figure figure = EmptyFigure(what);
    for (size_t j = 0; j < jobs.size(); ++j) {
      const absl::string_view column = what.column;
      if (column == kWeight.column && !SharesWeight(jobs[j].steps)) continue;
      const bool may_lack_it = column == kFirstPlace.column || column == kNoise.column;
      if (may_lack_it && !jobs[j].steps.HasValues(what.column)) continue;
      figure.curves.push_back(CurveOf(jobs[j].steps, what.column, labels[j], static_cast<int>(j), MostPoints(jobs.size())));
    }
    figures.push_back(std::move(figure));
  }
  return figures;
}

std::vector<PhaseSeconds> PhaseSecondsOf(const StepTable& steps, size_t& counted) {
  counted = 0;
  if (steps.phases().empty()) return {};
  const std::vector<std::vector<double>> sums = PhaseSums(steps);
  const std::vector<std::string> names = PhaseNames(steps);
  std::vector<PhaseSeconds> all;
  for (const std::string& name : names) all.push_back({name, 0});
  for (size_t i = 0; i < steps.logged(); ++i) {
    if (!std::isfinite(sums.back()[i])) continue;
    ++counted;
    for (size_t p = 0; p < sums.size(); ++p) all[p].seconds += sums[p][i] - (p > 0 ? sums[p - 1][i] : 0);
  }
  return all;
}

}  // namespace muster
