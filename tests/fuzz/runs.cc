// Run files and judgments. Laws: an error is one line that names its file; every metric of an accepted run is from 0 to 1,
// whatever the rule.
#include <algorithm>

#include "common/retrieval/judged_run.h"
#include "tests/fuzz/byte_source.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/scratch.h"

namespace muster {
namespace {

void CheckError(const absl::Status& status, const std::string& folder) {
  const std::string text(status.message());
  FUZZ_CHECK(text.find(folder) == 0, "an error without its file: " + text);
  FUZZ_CHECK(text.find('\n') == std::string::npos, "an error of several lines: " + text);
}

void Check(std::string_view run_text, std::string_view qrels_text, Duplicates duplicates, const FuzzFolder& folder) {
  const std::string run_file = (folder.path() / "run").string(), qrels_file = (folder.path() / "qrels").string();
  Put(run_file, run_text);
  Put(qrels_file, qrels_text);
  const auto run = RunFile::Read(run_file, duplicates);
  if (!run.ok()) CheckError(run.status(), folder.path().string());
  const auto qrels = Qrels::Read(qrels_file);
  if (!qrels.ok()) CheckError(qrels.status(), folder.path().string());
  if (!run.ok() || !qrels.ok()) return;
  std::vector<MetricName> metrics;
  for (const char* name : {"ndcg", "ndcg@3", "mrr", "map@2", "recall", "precision@5"}) metrics.push_back(*ParseMetricName(name));
  for (const RankingRule rule : {RankingRule::kMuster, RankingRule::kTrecEval}) {
    const auto judged = JudgeRun(*run, *qrels, metrics, rule);
    if (!judged.ok()) {
      CheckError(judged.status(), folder.path().string());
      continue;
    }
    for (const std::vector<double>& values : judged->values) {
      FUZZ_CHECK(values.size() == judged->queries.size(), "a query without a value");
      for (const double value : values) FUZZ_CHECK(value >= 0 && value <= 1 + 1e-6, "a metric beyond 1");
    }
  }
}

}  // namespace
}  // namespace muster

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const muster::FuzzFolder scratch;
  muster::ByteSource source(data, size);
  const auto duplicates = source.Coin() ? muster::Duplicates::kBest : muster::Duplicates::kRefuse;
  const std::string_view bytes = source.Rest();
  const size_t half = std::min(bytes.find('#'), bytes.size());  // the run, "#", the judgments
  muster::Check(bytes.substr(0, half), bytes.substr(std::min(half + 1, bytes.size())), duplicates, scratch);
  return 0;
}
