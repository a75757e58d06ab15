// muster compare RUN RUN... --qrels FILE, muster compare JOB JOB...: whether one ranking is better than another.
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/commands/commands.h"
#include "client/report_ids.h"
#include "client/runs/comparison.h"
#include "client/runs/job_values.h"
#include "client/runs/run_flags.h"
#include "client/words.h"
#include "common/exit_code.h"
#include "common/status.h"

namespace muster {
namespace {

using Json = nlohmann::ordered_json;

struct CompareFlags {
  std::vector<std::string> runs;  // files with --qrels, otherwise jobs
  RunFlags options;
};

// What is compared: runs with the same queries.
struct Compared {
  std::vector<std::string> names;
  std::vector<JudgedRun> runs;
  std::vector<std::string> notes;
  std::vector<muster::v1::Job> jobs;  // one per run; empty: the runs are files
};

// Queries that some of the runs lack are left out of all. By Muster's rule there are none, because all have every query with a
// relevant document.
absl::Status KeepShared(Compared& compared) {
  std::map<std::string, size_t> having;  // query → how many runs have it
  for (const JudgedRun& run : compared.runs) {
    for (const std::string& query : run.queries) ++having[query];
  }
  for (JudgedRun& run : compared.runs) {
    JudgedRun kept;
    kept.values.resize(run.values.size());
    for (size_t q = 0; q < run.queries.size(); ++q) {
      if (having.at(run.queries[q]) != compared.runs.size()) continue;
      kept.queries.push_back(run.queries[q]);
      for (size_t m = 0; m < run.values.size(); ++m) kept.values[m].push_back(run.values[m][q]);
    }
    run = std::move(kept);
  }
  const size_t dropped = having.size() - compared.runs[0].queries.size();
  if (dropped > 0) {
    compared.notes.push_back(absl::StrCat(Plural(dropped, "query"), ", which only ",
                                          compared.runs.size() == 2 ? "one" : "some", " of the runs ",
                                          compared.runs.size() == 2 ? "has" : "have", ", left out of the comparison."));
  }
  if (compared.runs[0].queries.size() >= 2) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(absl::StrJoin(compared.names, " and "),
                   " share fewer than two judged queries. Compare runs of the same queries, or use --rule muster."));
}

absl::StatusOr<Compared> ReadFiles(const CompareFlags& flags) {
  Compared compared{.names = flags.runs};
  ASSIGN_OR_RETURN(compared.runs, ReadRuns(flags.runs, flags.options));
  compared.notes = NotesOf(compared.runs);
  RETURN_IF_ERROR(KeepShared(compared));
  return compared;
}

absl::StatusOr<Compared> ReadJobs(const Cli& cli, const CompareFlags& flags) {
  RETURN_IF_ERROR(MetricsOf(flags.options).status());
  for (const std::string& given : flags.runs) {
    std::error_code error;
    if (!std::filesystem::is_regular_file(given, error)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(given, " is a file. Runs are compared by judgments: add --qrels FILE. Without it the arguments are "
                            "jobs."));
  }
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  ASSIGN_OR_RETURN(std::vector<JobValues> jobs, FetchJobValues(connection, flags.runs));
  Compared compared;
  for (JobValues& job : jobs) {
    RETURN_IF_ERROR(CheckSameQueries(jobs[0], job));
    compared.names.push_back(JobLabel(job.job));
    ASSIGN_OR_RETURN(compared.runs.emplace_back(), RunOf(job, flags.options.metrics));
    compared.jobs.push_back(job.job);
  }
  if (flags.options.per_query.empty()) return compared;
  // The file has ids, as that of run files has.
  ASSIGN_OR_RETURN(const auto data, connection.Data());
  const auto ids = FetchReportIds(data, jobs[0].job, /*documents=*/false);
  if (!ids.ok()) {
    compared.notes.push_back(absl::StrCat("--per-query has numbers of queries in place of ids: ", ids.status().message()));
    return compared;
  }
  for (JudgedRun& run : compared.runs) {
    for (size_t q = 0; q < run.queries.size(); ++q) {
      const uint32_t number = jobs[0].values.queries[q];
      if (number >= ids->queries.size()) return absl::InternalError(absl::StrCat("the dataset has no query ", number));
      run.queries[q] = ids->queries[number];
    }
  }
  return compared;
}

std::string ProbabilityCell(double p) { return p < 0.0001 ? "<0.0001" : absl::StrFormat("%.4f", p); }

using Comparisons = std::vector<std::vector<MetricComparison>>;  // [run - 1][metric]

void AddMean(const std::string& metric, size_t run, const MeanOfRun& mean, Table& table) {
  table.Add({metric, RunLetter(run), MetricCell(mean.mean), MetricCell(mean.interval.low), MetricCell(mean.interval.high)});
}

std::string TableText(const Comparisons& all) {
  Table table({"METRIC", "RUN", "MEAN", "LOW", "HIGH", "P", "HOLM", "EFFECT", "WON", "TIED", "LOST"});
  for (size_t m = 0; m < all[0].size(); ++m) {
    AddMean(all[0][m].metric, 0, all[0][m].a, table);
    for (size_t r = 1; r <= all.size(); ++r) {
      const MetricComparison& one = all[r - 1][m];
      AddMean(one.metric, r, one.b, table);
      table.Add({one.metric, absl::StrCat(RunLetter(r), "-A"), DifferenceCell(one.difference.mean),
                 DifferenceCell(one.difference.interval.low), DifferenceCell(one.difference.interval.high),
                 ProbabilityCell(one.test.p), ProbabilityCell(one.p_holm), absl::StrFormat("%+.2f", one.effect_size),
                 absl::StrCat(one.wins.wins), absl::StrCat(one.wins.ties), absl::StrCat(one.wins.losses)});
    }
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

// A column per run, and the difference if there are two.
std::string PerQueryText(const std::vector<std::string>& metrics, const std::vector<JudgedRun>& runs) {
  std::string text = "query,metric";
  for (size_t r = 0; r < runs.size(); ++r) absl::StrAppend(&text, ",", absl::AsciiStrToLower(RunLetter(r)));
  text += runs.size() == 2 ? ",difference\n" : "\n";
  for (size_t q = 0; q < runs[0].queries.size(); ++q) {
    for (size_t m = 0; m < metrics.size(); ++m) {
      absl::StrAppend(&text, CsvCell(runs[0].queries[q]), ",", metrics[m]);
      for (const JudgedRun& run : runs) absl::StrAppend(&text, ",", ExactNumber(run.values[m][q]));
      if (runs.size() == 2) absl::StrAppend(&text, ",", ExactNumber(runs[1].values[m][q] - runs[0].values[m][q]));
      text += "\n";
    }
  }
  return text;
}

Json MetricsJson(const std::vector<MetricComparison>& compared) {
  Json metrics = Json::array();
  for (const MetricComparison& one : compared) metrics.push_back(ComparisonJson(one));
  return metrics;
}

// Two runs are `a` and `b`, with `metrics`; several are `runs`, with `comparisons`.
Json ComparedJson(const CompareFlags& flags, const Compared& compared, const Comparisons& all) {
  Json json = Json::object();
  const bool two = compared.runs.size() == 2;
  if (two) {
    json["a"] = compared.names[0];
    json["b"] = compared.names[1];
  } else {
    json["runs"] = compared.names;
  }
  if (compared.jobs.empty()) {
    json["qrels"] = flags.options.qrels;
    json["rule"] = NameOf(flags.options.rule);
  } else {
    json["jobs"] = Json::array();
    for (const muster::v1::Job& job : compared.jobs) json["jobs"].push_back(job.id());
    json["dataset"] = compared.jobs[0].spec().report().dataset();
    json["split"] = compared.jobs[0].spec().report().split();
  }
  json["queries"] = compared.runs[0].queries.size();
  json["confidence"] = kConfidence;
  json["power"] = kPower;
  json["seed"] = flags.options.seed;
  if (two) {
    json["metrics"] = MetricsJson(all[0]);
  } else {
    json["comparisons"] = Json::array();
    for (size_t r = 1; r <= all.size(); ++r) {
      json["comparisons"].push_back({{"a", compared.names[0]}, {"b", compared.names[r]}, {"metrics", MetricsJson(all[r - 1])}});
    }
  }
  json["notes"] = compared.notes;
  return json;
}

void PrintComparison(const Compared& compared, const Comparisons& all) {
  PrintRunNotes(compared.notes);
  for (size_t r = 0; r < compared.names.size(); ++r) std::printf("%s  %s\n", RunLetter(r).c_str(), compared.names[r].c_str());
  std::printf("%s, 95%% intervals\n\n%s\n", Plural(compared.runs[0].queries.size(), "query").c_str(), TableText(all).c_str());
  for (size_t m = 0; m < all[0].size(); ++m) {
    for (const auto& of_run : all) std::printf("%s: %s.\n", of_run[m].metric.c_str(), of_run[m].verdict.c_str());
  }
}

absl::StatusOr<int> Compare(const Cli& cli, const CompareFlags& flags) {
  if (flags.runs.size() < 2 || flags.runs.size() > kMostRuns) {
    return absl::InvalidArgumentError(absl::StrCat("compare: ", Plural(flags.runs.size(), "run"), " given. Name 2 to ",
                                                   kMostRuns, ": run files with --qrels FILE, or jobs."));
  }
  auto compared = flags.options.qrels.empty() ? ReadJobs(cli, flags) : ReadFiles(flags);
  if (!compared.ok()) return WithContext(compared.status(), "compare");
  constexpr size_t kFewQueries = 30;
  if (const size_t queries = compared->runs[0].queries.size(); queries < kFewQueries) {
    compared->notes.push_back(absl::StrCat("Intervals from ", queries, " queries are often too narrow. Judge more queries."));
  }
  std::vector<RunValues> values;
  for (const JudgedRun& run : compared->runs) values.push_back(run.values);
  const Comparisons all = CompareWithFirst(flags.options.metrics, values, flags.options.seed);
  const absl::Status written = WritePerQuery(flags.options,
                                             [&] { return PerQueryText(flags.options.metrics, compared->runs); });
  if (!written.ok()) return WithContext(written, "compare");
  if (cli.output != OutputFormat::kTable) {
    std::printf("%s", Format(ComparedJson(flags, *compared, all), cli.output).c_str());
  } else {
    PrintComparison(*compared, all);
  }
  return kExitSucceeded;
}

}  // namespace

void AddCompareCommand(CLI::App& app, Cli& cli) {
  auto flags = std::make_shared<CompareFlags>();
  CLI::App* command = app.add_subcommand("compare", "Test whether one run or job is better than another")->fallthrough();
  command
      ->add_option("runs", flags->runs,
                   "Run files in TREC's format, plain or .gz, with --qrels; without it, jobs that measured the same split. All "
                   "are compared with the first")
      ->required()
      ->type_name("RUN...");
  AddOptionalRunFlags(*command, cli, flags->options, {"ndcg@10"});
  command->callback([&cli, flags] { cli.action = [&cli, flags] { return Compare(cli, *flags); }; });
}

}  // namespace muster
