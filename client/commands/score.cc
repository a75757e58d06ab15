// muster score RUN... --qrels FILE: metrics of run files, with intervals.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/runs/comparison.h"
#include "client/runs/run_flags.h"
#include "common/exit_code.h"
#include "common/status.h"

namespace muster {
namespace {

struct ScoreFlags {
  std::vector<std::string> files;
  RunFlags runs;
};

std::string ScoresOfQueries(const ScoreFlags& flags, const std::vector<JudgedRun>& judged) {
  std::string text = "run,query,metric,value\n";
  for (size_t r = 0; r < judged.size(); ++r) {
    for (size_t q = 0; q < judged[r].queries.size(); ++q) {
      for (size_t m = 0; m < flags.runs.metrics.size(); ++m) {
        absl::StrAppend(&text, CsvCell(flags.files[r]), ",", CsvCell(judged[r].queries[q]), ",", flags.runs.metrics[m], ",",
                        ExactNumber(judged[r].values[m][q]), "\n");
      }
    }
  }
  return text;
}

absl::StatusOr<int> Score(const Cli& cli, const ScoreFlags& flags) {
  const auto judged = ReadRuns(flags.files, flags.runs);
  if (!judged.ok()) return WithContext(judged.status(), "score");
  const std::vector<std::string> notes = NotesOf(*judged);
  std::vector<std::vector<MeanOfRun>> means;  // [run][metric]
  for (const JudgedRun& run : *judged) means.push_back(MeansOf(run.values, flags.runs.seed));
  const absl::Status written = WritePerQuery(flags.runs, [&] { return ScoresOfQueries(flags, *judged); });
  if (!written.ok()) return WithContext(written, "score");
  if (cli.output != OutputFormat::kTable) {
    nlohmann::ordered_json json = {{"qrels", flags.runs.qrels},
                                   {"rule", NameOf(flags.runs.rule)},
                                   {"confidence", kConfidence},
                                   {"seed", flags.runs.seed},
                                   {"runs", nlohmann::ordered_json::array()},
                                   {"notes", notes}};
    for (size_t r = 0; r < flags.files.size(); ++r) {
      nlohmann::ordered_json metrics = nlohmann::ordered_json::object();
      for (size_t m = 0; m < flags.runs.metrics.size(); ++m) {
        const MeanOfRun& one = means[r][m];
        metrics[flags.runs.metrics[m]] = {{"mean", one.mean}, {"low", one.interval.low}, {"high", one.interval.high}};
      }
      json["runs"].push_back({{"run", flags.files[r]}, {"queries", (*judged)[r].queries.size()}, {"metrics", metrics}});
    }
    std::printf("%s", Format(json, cli.output).c_str());
    return kExitSucceeded;
  }
  PrintRunNotes(notes);
  Table table({"METRIC", "MEAN", "LOW", "HIGH", "QUERIES", "RUN"});
  for (size_t m = 0; m < flags.runs.metrics.size(); ++m) {
    for (size_t r = 0; r < flags.files.size(); ++r) {
      const MeanOfRun& one = means[r][m];
      table.Add({flags.runs.metrics[m], MetricCell(one.mean), MetricCell(one.interval.low), MetricCell(one.interval.high),
                 absl::StrCat((*judged)[r].queries.size()), flags.files[r]});
    }
  }
  std::printf("%s", table.Text().c_str());
  return kExitSucceeded;
}

}  // namespace

void AddScoreCommand(CLI::App& app, Cli& cli) {
  auto flags = std::make_shared<ScoreFlags>();
  CLI::App* command = app.add_subcommand("score", "Measure run files against judgments, with intervals")->fallthrough();
  command->add_option("runs", flags->files, "Run files in TREC's format, plain or .gz")->required()->type_name("RUN...");
  AddRunFlags(*command, cli, flags->runs, {"ndcg@10", "mrr", "recall@100"});
  command->callback([&cli, flags] { cli.action = [&cli, flags] { return Score(cli, *flags); }; });
}

}  // namespace muster
