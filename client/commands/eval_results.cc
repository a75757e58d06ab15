#include "client/commands/eval_results.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/call.h"
#include "client/new_folder.h"
#include "client/output.h"
#include "client/progress.h"
#include "client/report_files.h"
#include "client/report_ids.h"
#include "client/runs/comparison.h"
#include "client/runs/run_flags.h"
#include "client/words.h"
#include "common/files.h"
#include "common/rpc/blobs.h"
#include "common/status.h"

namespace muster {
namespace {

using muster::v1::Evaluation;
using muster::v1::Job;
using Json = nlohmann::ordered_json;

constexpr uint64_t kIntervalSeed = 0;  // the default of `muster score --seed`

std::string SplitLabel(const Job& job) { return absl::StrCat(job.spec().report().dataset(), "/", job.spec().report().split()); }

std::vector<std::string> NamesOfMetrics(const std::vector<EvaluatedJob>& jobs) {
  for (const EvaluatedJob& one : jobs) {
    if (const Evaluation* result = MeasuredBy(one.job); result != nullptr) return OrderedMetricNames(*result);
  }
  return {};
}

// Unweighted means over the datasets, as BEIR and MTEB report them. Empty unless every dataset has every metric: a mean over
// only some datasets could not be compared with anything.
std::map<std::string, double> MeansOverDatasets(const std::vector<EvaluatedJob>& jobs) {
  std::map<std::string, double> means;
  for (const std::string& metric : NamesOfMetrics(jobs)) {
    double sum = 0;
    for (const EvaluatedJob& one : jobs) {
      const Evaluation* result = MeasuredBy(one.job);
      if (result == nullptr || !result->metrics().contains(metric)) return {};
      sum += result->metrics().at(metric);
    }
    means[metric] = sum / static_cast<double>(jobs.size());
  }
  return means;
}

void ComputeIntervals(EvaluatedJob& one, std::vector<std::string>& notes) {
  if (one.values->queries.size() < 2) {
    notes.push_back(absl::StrCat(SplitLabel(one.job), ": one query says nothing about others, so there are no intervals."));
    return;
  }
  RunValues columns;
  for (const auto& [metric, values] : one.values->values) columns.push_back(values);
  const std::vector<MeanOfRun> means = MeansOf(columns, kIntervalSeed);
  size_t next = 0;
  for (const auto& [metric, values] : one.values->values) one.intervals[metric] = means[next++].interval;
}

// Files and folders of the result, below its temporary folder.
class EvaluationFolder {
 public:
  EvaluationFolder(const std::shared_ptr<grpc::Channel>& data, const std::filesystem::path& root,
                   std::vector<std::string>& notes)
      : data_(data), blobs_(data), root_(root), notes_(notes) {}

  absl::Status Write(const EvaluatedJob& one) {
    if (!one.values.has_value()) return absl::OkStatus();
    const muster::v1::ReportSpec& report = one.job.spec().report();
    const std::filesystem::path folder = std::filesystem::path(report.dataset()) / report.split();
    RETURN_IF_ERROR(MakeFoldersBelow(root_, folder));
    const bool has_run = report.run_depth() > 0;
    absl::StatusOr<ReportIds> ids = FetchReportIds(data_, one.job, has_run);
    if (!ids.ok() && has_run) return WithContext(ids.status(), SplitLabel(one.job));
    if (!ids.ok()) {
      notes_.push_back(absl::StrCat(SplitLabel(one.job), ": queries.csv has numbers of queries without their ids: ",
                                    ids.status().message()));
    }
    ASSIGN_OR_RETURN(const std::string csv, QueryValuesCsv(*one.values, ids.ok() ? std::make_optional(*ids) : std::nullopt));
    RETURN_IF_ERROR(WriteFileAtomically(root_ / folder / "queries.csv", csv));
    if (!has_run) return absl::OkStatus();
    ASSIGN_OR_RETURN(const std::string run, FetchStoredRun(blobs_, one.job));
    return WriteTrecRun(run, *ids, one.job.spec().name(), (root_ / folder / "run.trec").string());
  }

 private:
  const std::shared_ptr<grpc::Channel>& data_;
  BlobClient blobs_;
  const std::filesystem::path& root_;
  std::vector<std::string>& notes_;
};

std::string SummaryCsv(const std::vector<EvaluatedJob>& jobs) {
  std::string text = "dataset,split,metric,mean,low,high,queries,documents,job\n";
  for (const EvaluatedJob& one : jobs) {
    const Evaluation* result = MeasuredBy(one.job);
    if (result == nullptr) continue;
    for (const std::string& metric : OrderedMetricNames(*result)) {
      const auto found = one.intervals.find(metric);
      const bool known = found != one.intervals.end();
      absl::StrAppend(&text, one.job.spec().report().dataset(), ",", one.job.spec().report().split(), ",", metric, ",",
                      ExactNumber(result->metrics().at(metric)), ",", known ? ExactNumber(found->second.low) : "", ",",
                      known ? ExactNumber(found->second.high) : "", ",", result->queries(), ",", result->documents(), ",",
                      one.job.id(), "\n");
    }
  }
  return text;
}

}  // namespace

const Evaluation* MeasuredBy(const Job& job) { return job.evaluations().empty() ? nullptr : &*job.evaluations().rbegin(); }

absl::Status ReadValues(const std::shared_ptr<grpc::Channel>& data, std::vector<EvaluatedJob>& jobs,
                        std::vector<std::string>& notes) {
  BlobClient blobs(data);
  for (EvaluatedJob& one : jobs) {
    if (one.job.phase() != muster::v1::JOB_PHASE_SUCCEEDED) continue;  // the table says so
    auto values = FetchQueryValues(blobs, one.job);
    if (absl::IsFailedPrecondition(values.status())) {
      notes.emplace_back(values.status().message());
      continue;
    }
    if (!values.ok()) return ExplainUnreachable(values.status());
    one.values = *std::move(values);
    ComputeIntervals(one, notes);
  }
  return absl::OkStatus();
}

std::string EvaluationTable(const std::vector<EvaluatedJob>& jobs) {
  const std::vector<std::string> metrics = NamesOfMetrics(jobs);
  std::vector<std::string> header = {"DATASET", "QUERIES", "DOCUMENTS"};
  header.insert(header.end(), metrics.begin(), metrics.end());
  header.push_back("JOB");
  Table table(std::move(header));
  for (const EvaluatedJob& one : jobs) {
    const Evaluation* result = MeasuredBy(one.job);
    std::vector<std::string> row = {SplitLabel(one.job)};
    row.push_back(result == nullptr ? "-" : WithThousands(result->queries()));
    row.push_back(result == nullptr ? "-" : WithThousands(result->documents()));
    for (const std::string& metric : metrics) {
      const bool has_it = result != nullptr && result->metrics().contains(metric);
      row.push_back(has_it ? MetricCell(result->metrics().at(metric)) : "-");
    }
    row.push_back(result == nullptr ? absl::StrCat(one.job.id(), ": ", PhaseText(one.job)) : one.job.id());
    table.Add(std::move(row));
  }
  if (const std::map<std::string, double> means = MeansOverDatasets(jobs); !means.empty()) {
    std::vector<std::string> row = {"mean", "", ""};
    for (const std::string& metric : metrics) row.push_back(MetricCell(means.at(metric)));
    table.Add(std::move(row));
  }
  return table.Text();
}

std::string IntervalTable(const std::vector<EvaluatedJob>& jobs) {
  Table table({"METRIC", "MEAN", "LOW", "HIGH", "QUERIES", "DATASET"});
  bool any = false;
  for (const std::string& metric : NamesOfMetrics(jobs)) {
    for (const EvaluatedJob& one : jobs) {
      const auto found = one.intervals.find(metric);
      const Evaluation* result = MeasuredBy(one.job);
      if (found == one.intervals.end() || result == nullptr) continue;
      any = true;
      table.Add({metric, MetricCell(result->metrics().at(metric)), MetricCell(found->second.low),
                 MetricCell(found->second.high),
                 absl::StrCat(result->queries()), SplitLabel(one.job)});
    }
  }
  return any ? table.Text() : "";
}

Json IntervalsJson(const EvaluatedJob& one) {
  Json json = Json::object();
  const Evaluation* result = MeasuredBy(one.job);
  if (result == nullptr) return json;
  for (const std::string& metric : OrderedMetricNames(*result)) {
    const auto found = one.intervals.find(metric);
    if (found != one.intervals.end()) json[metric] = {{"low", found->second.low}, {"high", found->second.high}};
  }
  return json;
}

Json EvaluationsJson(const std::string& model, const std::vector<EvaluatedJob>& jobs) {
  Json json = {{"model", model}, {"evaluations", Json::array()}, {"means", MeansOverDatasets(jobs)},
               {"confidence", kConfidence}};
  for (const EvaluatedJob& evaluated : jobs) {
    const Job& job = evaluated.job;
    Json one = {{"job", job.id()},
                {"phase", muster::v1::JobPhase_Name(job.phase())},
                {"reason", job.reason()},
                {"dataset", job.spec().report().dataset()},
                {"split", job.spec().report().split()},
                {"queries", 0},
                {"documents", 0},
                {"metrics", Json::object()},
                {"intervals", IntervalsJson(evaluated)}};
    if (const Evaluation* result = MeasuredBy(job); result != nullptr) {
      one["queries"] = result->queries();
      one["documents"] = result->documents();
      for (const std::string& name : OrderedMetricNames(*result)) one["metrics"][name] = result->metrics().at(name);
    }
    json["evaluations"].push_back(std::move(one));
  }
  return json;
}

absl::Status WriteEvaluations(const std::shared_ptr<grpc::Channel>& data, const std::filesystem::path& target,
                              const std::string& model, const std::vector<EvaluatedJob>& jobs,
                              std::vector<std::string>& notes) {
  ASSIGN_OR_RETURN(const std::unique_ptr<NewFolder> folder, NewFolder::Create("eval", target));
  EvaluationFolder files(data, folder->aside(), notes);
  for (const EvaluatedJob& one : jobs) RETURN_IF_ERROR(files.Write(one));
  RETURN_IF_ERROR(WriteFileAtomically(folder->aside() / "summary.json",
                                      Format(EvaluationsJson(model, jobs), OutputFormat::kJson)));
  RETURN_IF_ERROR(WriteFileAtomically(folder->aside() / "summary.csv", SummaryCsv(jobs)));
  return folder->Publish();
}

}  // namespace muster
