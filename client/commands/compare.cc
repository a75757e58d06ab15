// muster compare RUN_A RUN_B --qrels FILE: whether one ranking is better than another.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/commands/commands.h"
#include "client/runs/comparison.h"
#include "client/runs/run_flags.h"
#include "client/words.h"
#include "common/exit_code.h"
#include "common/status.h"

namespace muster {
namespace {

using Json = nlohmann::ordered_json;

struct CompareFlags {
  std::string a, b;
  RunFlags runs;
};

// Queries that only one of the runs has are left out of both. By Muster's rule there are none, because both have every query
// with a relevant document.
absl::Status KeepShared(JudgedRun& a, JudgedRun& b, const CompareFlags& flags, std::vector<std::string>& notes) {
  const std::set<std::string> in_a(a.queries.begin(), a.queries.end()), in_b(b.queries.begin(), b.queries.end());
  const auto keep = [](JudgedRun& run, const std::set<std::string>& others) {
    JudgedRun kept;
    kept.values.resize(run.values.size());
    for (size_t q = 0; q < run.queries.size(); ++q) {
      if (!others.contains(run.queries[q])) continue;
      kept.queries.push_back(run.queries[q]);
      for (size_t m = 0; m < run.values.size(); ++m) kept.values[m].push_back(run.values[m][q]);
    }
    const size_t dropped = run.queries.size() - kept.queries.size();
    run = std::move(kept);
    return dropped;
  };
  const size_t dropped = keep(a, in_b) + keep(b, in_a);
  if (dropped > 0) notes.push_back(absl::StrCat(Plural(dropped, "query"), ", which only one of the runs has, left out of the comparison."));
  if (a.queries.size() >= 2) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(flags.a, " and ", flags.b, " share fewer than two judged queries. Compare "
                                                 "runs of the same queries, or use --rule muster."));
}

std::string ProbabilityCell(double p) { return p < 0.0001 ? "<0.0001" : absl::StrFormat("%.4f", p); }

std::string TableText(const std::vector<MetricComparison>& all) {
  Table table({"METRIC", "RUN", "MEAN", "LOW", "HIGH", "P", "HOLM", "EFFECT", "WON", "TIED", "LOST"});
  for (const MetricComparison& one : all) {
    table.Add({one.metric, "A", MetricCell(one.a.mean), MetricCell(one.a.interval.low), MetricCell(one.a.interval.high)});
    table.Add({one.metric, "B", MetricCell(one.b.mean), MetricCell(one.b.interval.low), MetricCell(one.b.interval.high)});
    table.Add({one.metric, "B-A", DifferenceCell(one.difference.mean), DifferenceCell(one.difference.interval.low),
               DifferenceCell(one.difference.interval.high), ProbabilityCell(one.test.p), ProbabilityCell(one.p_holm),
               absl::StrFormat("%+.2f", one.effect_size), absl::StrCat(one.wins.wins), absl::StrCat(one.wins.ties),
               absl::StrCat(one.wins.losses)});
  }
  return table.Text();
}

Json MeanJson(const MeanOfRun& mean) {
  return {{"mean", mean.mean}, {"low", mean.interval.low}, {"high", mean.interval.high}};
}

Json ComparisonJson(const MetricComparison& one) {
  Json json = {{"metric", one.metric},
               {"a", MeanJson(one.a)},
               {"b", MeanJson(one.b)},
               {"difference", MeanJson(one.difference)},
               {"p", one.test.p},
               {"p_holm", one.p_holm},
               {"p_t", one.t.p},
               {"t", one.t.t},
               {"sign_flips", one.test.flips},
               {"exact", one.test.exact},
               {"effect_size", one.effect_size},
               {"won", one.wins.wins},
               {"tied", one.wins.ties},
               {"lost", one.wins.losses},
               {"detectable", one.detectable},
               {"queries_needed", nullptr},
               {"verdict", one.verdict}};
  if (one.queries_needed.has_value()) json["queries_needed"] = *one.queries_needed;
  return json;
}

std::string PerQueryText(const std::vector<std::string>& metrics, const JudgedRun& a, const JudgedRun& b) {
  std::string text = "query,metric,a,b,difference\n";
  for (size_t q = 0; q < a.queries.size(); ++q) {
    for (size_t m = 0; m < metrics.size(); ++m) {
      absl::StrAppend(&text, CsvCell(a.queries[q]), ",", metrics[m], ",", ExactNumber(a.values[m][q]), ",",
                      ExactNumber(b.values[m][q]), ",", ExactNumber(b.values[m][q] - a.values[m][q]), "\n");
    }
  }
  return text;
}

absl::StatusOr<int> Compare(const Cli& cli, const CompareFlags& flags) {
  auto judged = ReadRuns({flags.a, flags.b}, flags.runs);
  if (!judged.ok()) return WithContext(judged.status(), "compare");
  JudgedRun &a = (*judged)[0], &b = (*judged)[1];
  std::vector<std::string> notes = NotesOf(*judged);
  if (const absl::Status status = KeepShared(a, b, flags, notes); !status.ok()) return WithContext(status, "compare");
  constexpr size_t kFewQueries = 30;
  if (a.queries.size() < kFewQueries) {
    notes.push_back(absl::StrCat("Intervals from ", a.queries.size(), " queries are often too narrow. Judge more queries."));
  }
  const std::vector<MetricComparison> compared = CompareRuns(flags.runs.metrics, a.values, b.values, flags.runs.seed);
  const absl::Status written = WritePerQuery(flags.runs, [&] { return PerQueryText(flags.runs.metrics, a, b); });
  if (!written.ok()) return WithContext(written, "compare");
  if (cli.output != OutputFormat::kTable) {
    Json json = {{"a", flags.a},
                 {"b", flags.b},
                 {"qrels", flags.runs.qrels},
                 {"rule", NameOf(flags.runs.rule)},
                 {"queries", a.queries.size()},
                 {"confidence", kConfidence},
                 {"power", kPower},
                 {"seed", flags.runs.seed},
                 {"metrics", Json::array()},
                 {"notes", notes}};
    for (const MetricComparison& one : compared) json["metrics"].push_back(ComparisonJson(one));
    std::printf("%s", Format(json, cli.output).c_str());
    return kExitSucceeded;
  }
  PrintRunNotes(notes);
  std::printf("A  %s\nB  %s\n%s, 95%% intervals\n\n%s\n", flags.a.c_str(), flags.b.c_str(),
              Plural(a.queries.size(), "query").c_str(), TableText(compared).c_str());
  for (const MetricComparison& one : compared) std::printf("%s: %s.\n", one.metric.c_str(), one.verdict.c_str());
  return kExitSucceeded;
}

}  // namespace

void AddCompareCommand(CLI::App& app, Cli& cli) {
  auto flags = std::make_shared<CompareFlags>();
  CLI::App* command = app.add_subcommand("compare", "Test whether one run is better than another")->fallthrough();
  command->add_option("run_a", flags->a, "A run file in TREC's format, plain or .gz")->required()->type_name("RUN_A");
  command->add_option("run_b", flags->b, "The run that may be better")->required()->type_name("RUN_B");
  AddRunFlags(*command, cli, flags->runs, {"ndcg@10"});
  command->callback([&cli, flags] { cli.action = [&cli, flags] { return Compare(cli, *flags); }; });
}

}  // namespace muster
