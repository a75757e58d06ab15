#include "client/study/study_figures.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/words.h"
#include "common/statistics/correction.h"
#include "common/statistics/power.h"
#include "common/statistics/summary.h"

namespace muster {
namespace {

using Results = absl::Span<const CellResult>;

const CellResult& CellAt(const StudyFile& study, Results results, size_t arm, size_t seed_index) {
  return results[arm * study.seeds.size() + seed_index];
}

std::optional<double> ValueOf(const std::map<std::string, double>& metrics, const std::string& name) {
  const auto found = metrics.find(name);
  return found == metrics.end() ? std::nullopt : std::optional(found->second);
}

std::optional<ArmFigure> ArmFigureOf(const StudyFile& study, Results results, size_t metric, size_t arm, double level) {
  ArmFigure figure{.metric = metric, .arm = arm};
  std::vector<double> untrained, noise;
  for (size_t s = 0; s < study.seeds.size(); ++s) {
    const CellResult& cell = CellAt(study, results, arm, s);
    const std::optional<double> value = ValueOf(cell.trained, study.metrics[metric]);
    if (!cell.done || !value.has_value()) continue;
    figure.seeds.push_back(study.seeds[s]);
    figure.values.push_back(*value);
    if (const auto before = ValueOf(cell.untrained, study.metrics[metric]); before.has_value()) untrained.push_back(*before);
    if (cell.noise_weight.has_value()) noise.push_back(*cell.noise_weight);
  }
  if (figure.values.empty()) return std::nullopt;
  figure.mean = Mean(figure.values);
  figure.deviation = StandardDeviation(figure.values);
  figure.interval = StudentInterval(figure.values, level);
  if (!untrained.empty()) figure.untrained = Mean(untrained);
  if (!noise.empty()) figure.noise_weight = Mean(noise);
  return figure;
}

// The values of a pair on the seeds that both arms have.
struct PairValues {
  std::vector<double> by_seed;                // differences
  std::vector<std::vector<double>> by_query;  // [seed][query], differences; empty: not known for all
  bool has_two_sets = false;                  // the arms measure datasets or splits with different names
  bool has_two_contents = false;              // the arms measure different content under one name
};

bool AddQueries(const CellResult& a, const CellResult& b, const std::string& metric, PairValues& values) {
  const auto in_a = a.by_query.find(metric), in_b = b.by_query.find(metric);
  if (in_a == a.by_query.end() || in_b == b.by_query.end()) return false;
  const std::vector<double>&of_a = in_a->second, &of_b = in_b->second;
  if (of_a.size() != of_b.size() || of_a.size() < 2) return false;
  if (!values.by_query.empty() && values.by_query.front().size() != of_a.size()) return false;
  std::vector<double>& row = values.by_query.emplace_back();
  for (size_t q = 0; q < of_a.size(); ++q) row.push_back(of_b[q] - of_a[q]);
  return true;
}

PairValues ValuesOf(const StudyFile& study, Results results, const StudyPair& pair, const std::string& metric) {
  PairValues values;
  bool all_have_queries = true;
  std::set<std::string> digests;
  for (size_t s = 0; s < study.seeds.size(); ++s) {
    const CellResult &a = CellAt(study, results, pair.a, s), &b = CellAt(study, results, pair.b, s);
    const std::optional<double> of_a = ValueOf(a.trained, metric), of_b = ValueOf(b.trained, metric);
    if (!a.done || !b.done || !of_a.has_value() || !of_b.has_value()) continue;
    values.has_two_sets |= a.dataset != b.dataset || a.split != b.split;
    digests.insert({a.digest, b.digest});
    values.by_seed.push_back(*of_b - *of_a);
    all_have_queries = all_have_queries && AddQueries(a, b, metric, values);
  }
  values.has_two_contents = !values.has_two_sets && digests.size() > 1;
  if (!all_have_queries) values.by_query.clear();
  return values;
}

// Each query's mean over the seeds.
std::vector<double> OverSeeds(const std::vector<std::vector<double>>& by_query) {
  std::vector<double> means(by_query.front().size(), 0);
  for (const std::vector<double>& row : by_query) {
    for (size_t q = 0; q < row.size(); ++q) means[q] += row[q] / static_cast<double>(by_query.size());
  }
  return means;
}

void TestPair(const PairValues& values, const StudyOptions& options, PairFigure& figure) {
  figure.seeds = values.by_seed.size();
  figure.mean = Mean(values.by_seed);
  figure.interval = {figure.mean, figure.mean};
  figure.seeds_won = CountWins(values.by_seed);
  figure.effect = PairedEffectSize(values.by_seed);
  if (!values.by_query.empty()) {
    const std::vector<double> queries = OverSeeds(values.by_query);
    figure.queries = queries.size();
    figure.queries_won = CountWins(queries);
    figure.effect = PairedEffectSize(queries);
    figure.p_queries = TestBySignFlips(queries, {.seed = 0, .flips = options.flips}).p;
  }
  if (figure.seeds < 2) return;
  figure.p_seeds = TestByT(values.by_seed).p;
  figure.basis = PairBasis::kSeeds;
  figure.p = figure.p_seeds;
  figure.interval = StudentInterval(values.by_seed, options.level);
  if (values.by_query.empty()) return;
  const CrossedTest test = TestCrossed(values.by_query, options.level);
  figure.basis = PairBasis::kCrossed;
  figure.p = test.p;
  figure.p_seeds = test.p_seeds;
  figure.interval = test.interval;
}

void AddPower(const PairValues& values, double difference, const PowerOptions& options, PairFigure& figure) {
  const int64_t seeds = static_cast<int64_t>(figure.seeds), queries = static_cast<int64_t>(figure.queries);
  if (options.power == 0) return;
  if (figure.basis == PairBasis::kCrossed) {
    const CrossedComponents components = TestCrossed(values.by_query).components;
    figure.detectable = DetectableCrossed(components, seeds, queries, options);
    figure.seeds_needed = SeedsNeeded(components, queries, difference, options);
  } else if (figure.basis == PairBasis::kSeeds) {
    const double deviation = StandardDeviation(values.by_seed);
    figure.detectable = DetectableDifference(seeds, deviation, options);
    figure.seeds_needed = PairsNeeded(difference, deviation, options);
  }
}

std::string ProbabilityText(double p) { return p < 0.0001 ? "p < 0.0001" : absl::StrFormat("p = %.4f", p); }

// "objective=lsepair is better than objective=jointlh by 0.0124 (95% interval 0.0051 to 0.0197), p = 0.0021 after …"
std::string VerdictText(const StudyFile& study, const StudyFigures& figures, const PairFigure& figure) {
  const PairNames names = NamesOfPair(study, figure.pair);
  const std::string where = names.shared.empty() ? "" : absl::StrCat(", with ", names.shared);
  const std::string p =
      absl::StrCat(ProbabilityText(figure.p_holm), " after Holm's correction for ", Plural(figures.tests, "comparison"));
  if (figure.is_difference) {
    const bool b_is_better = figure.mean > 0;
    return absl::StrFormat("%s is better than %s%s: by %.4f (95%% interval %.4f to %.4f), %s", b_is_better ? names.b : names.a,
                           b_is_better ? names.a : names.b, where, std::abs(figure.mean),
                           b_is_better ? figure.interval.low : -figure.interval.high,
                           b_is_better ? figure.interval.high : -figure.interval.low, p);
  }
  std::string text = absl::StrFormat("no difference shown between %s and %s%s (%s): %s would show one of %.4f with 80%% power",
                                     names.a, names.b, where, p, Plural(figure.seeds, "seed"), figure.detectable);
  if (!figure.seeds_needed.has_value()) {
    absl::StrAppend(&text, "; no number of seeds would show one of ", study.difference, " with these queries");
  } else if (*figure.seeds_needed > static_cast<int64_t>(figure.seeds)) {
    absl::StrAppend(&text, "; one of ", study.difference, " would take ",
                    WithThousands(static_cast<uint64_t>(*figure.seeds_needed)));
  }
  return text;
}

std::string WhyNotTested(const StudyFile& study, const PairValues& values, const PairFigure& figure) {
  const PairNames names = NamesOfPair(study, figure.pair);
  const std::string what = absl::StrCat(names.a, " and ", names.b, names.shared.empty() ? "" : ", with ", names.shared);
  if (values.has_two_contents) {
    return absl::StrCat(what,
                        ": not compared, because the dataset that they measure was imported again between the jobs. Run "
                        "the study under another name");
  }
  if (values.by_seed.empty()) return absl::StrCat(what, ": not compared, because no seed of both is done");
  return absl::StrCat(what, ": not tested, because one seed says nothing about others. Add seeds");
}

void AddSettingNotes(const StudyFile& study, Results results, std::vector<std::string>& notes) {
  for (size_t a = 0; a < study.arms.size(); ++a) {
    std::set<std::string> settings;
    for (size_t s = 0; s < study.seeds.size(); ++s) {
      const CellResult& cell = CellAt(study, results, a, s);
      if (cell.done) settings.insert(cell.settings);
    }
    if (settings.size() < 2) continue;
    notes.push_back(
        absl::StrCat("The jobs of the arm \"", study.arms[a].label,
                     "\" differ in more than their seeds: data or a model was replaced, or Muster was upgraded to other "
                     "defaults, while the study ran. Run it again under another name."));
  }
}

std::vector<std::string> StudyNotes(const StudyFile& study, Results results) {
  std::vector<std::string> notes;
  std::map<std::string, std::vector<std::string>> undone;  // state → cells
  std::set<std::string> unread;
  size_t without_queries = 0, done = 0;
  for (size_t c = 0; c < study.cells.size(); ++c) {
    const CellResult& result = results[c];
    if (!result.done) {
      const StudyCell& cell = study.cells[c];
      undone[result.state].push_back(absl::StrCat(study.arms[cell.arm].label, ", seed ", cell.seed));
      continue;
    }
    ++done;
    without_queries += result.by_query.empty();
    if (!result.by_query_note.empty()) unread.insert(result.by_query_note);
  }
  for (const auto& [state, cells] : undone) {
    notes.push_back(
        absl::StrCat(Plural(cells.size(), "cell"), " without a result (", state, "): ", absl::StrJoin(cells, "; "), "."));
  }
  if (without_queries > 0) {
    notes.push_back(
        absl::StrCat("Values by query are missing for ", Plural(without_queries, "job"), " of ", done,
                     ", because older workers do not store them. Comparisons with these jobs are about these queries, "
                     "and not about others of their kind."));
  }
  notes.insert(notes.end(), unread.begin(), unread.end());
  AddSettingNotes(study, results, notes);
  return notes;
}

}  // namespace

PairNames NamesOfPair(const StudyFile& study, const StudyPair& pair) {
  std::vector<std::string> a, b, shared;
  const StudyArm &in_a = study.arms[pair.a], &in_b = study.arms[pair.b];
  for (size_t f = 0; f < study.factors.size(); ++f) {
    const StudyFactor& factor = study.factors[f];
    const auto text = [&](const StudyArm& arm) { return absl::StrCat(factor.name, "=", factor.levels[arm.levels[f]]); };
    if (in_a.levels[f] == in_b.levels[f]) {
      shared.push_back(text(in_a));
    } else {
      a.push_back(text(in_a));
      b.push_back(text(in_b));
    }
  }
  return {absl::StrJoin(a, ", "), absl::StrJoin(b, ", "), absl::StrJoin(shared, ", ")};
}

StudyFigures FiguresOf(const StudyFile& study, Results results, const StudyOptions& options) {
  StudyFigures figures;
  figures.notes = StudyNotes(study, results);
  std::vector<PairValues> all_values;  // one per pair of `figures`
  std::vector<double> p;
  std::vector<size_t> tested;  // indices of pairs
  for (size_t m = 0; m < study.metrics.size(); ++m) {
    for (size_t a = 0; a < study.arms.size(); ++a) {
      if (auto figure = ArmFigureOf(study, results, m, a, options.level); figure.has_value()) figures.arms.push_back(*figure);
    }
    for (const StudyPair& pair : study.pairs) {
      PairValues values = ValuesOf(study, results, pair, study.metrics[m]);
      if (values.has_two_sets) continue;  // the grid has several test sets: they are not compared
      PairFigure& figure = figures.pairs.emplace_back(PairFigure{.metric = m, .pair = pair});
      if (!values.has_two_contents) TestPair(values, options, figure);
      if (figure.basis != PairBasis::kNone) {
        tested.push_back(figures.pairs.size() - 1);
        p.push_back(figure.p);
      }
      all_values.push_back(std::move(values));
    }
  }
  figures.tests = p.size();
  const std::vector<double> adjusted = HolmAdjusted(p);
  for (size_t i = 0; i < tested.size(); ++i) figures.pairs[tested[i]].p_holm = adjusted[i];
  const double alpha = 1 - options.level;
  for (size_t i = 0; i < figures.pairs.size(); ++i) {
    PairFigure& figure = figures.pairs[i];
    if (figure.basis == PairBasis::kNone) {
      figure.verdict = WhyNotTested(study, all_values[i], figure);
      continue;
    }
    AddPower(all_values[i], study.difference, {.alpha = alpha / static_cast<double>(figures.tests), .power = options.power},
             figure);
    figure.is_difference = figure.p_holm <= alpha;
    figure.verdict = VerdictText(study, figures, figure);
  }
  return figures;
}

}  // namespace muster
