#include "client/report/evaluations.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "client/progress.h"
#include "client/runs/run_flags.h"
#include "client/words.h"

namespace muster {
namespace {

using muster::v1::Evaluation;

// Evaluations of one set, in the order in which they were made.
struct EvaluatedSet {
  std::string dataset, split, digest;
  std::vector<const Evaluation*> evaluations;

  const Evaluation& First() const { return *evaluations.front(); }
  const Evaluation& Last() const { return *evaluations.back(); }
  bool IsLike(const EvaluatedSet& other) const {
    return std::tie(dataset, split, digest) == std::tie(other.dataset, other.split, other.digest);
  }
};

// The digest that the dataset's name had when the job was submitted.
std::string DigestOf(const muster::v1::Job& job, const std::string& dataset) {
  return dataset == job.spec().report().dataset() ? job.resolved().report_dataset() : job.resolved().evaluate_dataset();
}

std::vector<EvaluatedSet> SetsOf(const muster::v1::Job& job) {
  std::vector<EvaluatedSet> sets;
  for (const Evaluation& evaluation : job.evaluations()) {
    auto set = std::find_if(sets.begin(), sets.end(), [&](const EvaluatedSet& known) {
      return known.dataset == evaluation.dataset() && known.split == evaluation.split();
    });
    if (set == sets.end()) {
      sets.push_back({evaluation.dataset(), evaluation.split(), DigestOf(job, evaluation.dataset()), {}});
      set = sets.end() - 1;
    }
    set->evaluations.push_back(&evaluation);
  }
  return sets;
}

std::string ValueCell(const Evaluation& evaluation, const std::string& metric) {
  const auto found = evaluation.metrics().find(metric);
  return found == evaluation.metrics().end() ? "" : MetricCell(found->second);
}

std::string ChangeCell(const EvaluatedSet& set, const std::string& metric) {
  const auto first = set.First().metrics().find(metric), last = set.Last().metrics().find(metric);
  if (first == set.First().metrics().end() || last == set.Last().metrics().end()) return "";
  return DifferenceCell(last->second - first->second);
}

// "0.6451 (step-120)"
std::string BestCell(const EvaluatedSet& set, const std::string& metric) {
  const Evaluation* best = nullptr;
  for (const Evaluation* one : set.evaluations) {
    const auto found = one->metrics().find(metric);
    if (found == one->metrics().end()) continue;
    if (best == nullptr || found->second > best->metrics().at(metric)) best = one;
  }
  return best == nullptr ? "" : absl::StrCat(ValueCell(*best, metric), " (", best->label(), ")");
}

}  // namespace

std::vector<EvaluationTable> EvaluationTablesOf(const muster::v1::Job& job) {
  std::vector<EvaluationTable> tables;
  for (const EvaluatedSet& set : SetsOf(job)) {
    EvaluationTable& table = tables.emplace_back();
    table.title = absl::StrCat(set.dataset, "/", set.split, ": ", Plural(set.Last().queries(), "query"), ", ",
                               Plural(set.Last().documents(), "document"));
    const size_t count = set.evaluations.size();
    std::vector<std::string> header = {"metric", set.First().label()};
    if (count > 1) header.insert(header.end(), {set.Last().label(), "change"});
    if (count > 2) header.push_back("best");
    table.rows.push_back(std::move(header));
    for (const std::string& metric : OrderedMetricNames(set.Last())) {
      std::vector<std::string> row = {metric, ValueCell(set.First(), metric)};
      if (count > 1) row.insert(row.end(), {ValueCell(set.Last(), metric), ChangeCell(set, metric)});
      if (count > 2) row.push_back(BestCell(set, metric));
      table.rows.push_back(std::move(row));
    }
  }
  return tables;
}

Rows FinalMetricRows(absl::Span<const ReportedJob> jobs, absl::Span<const std::string> labels) {
  std::vector<std::vector<EvaluatedSet>> of_jobs;
  std::vector<EvaluatedSet> all;  // the sets of all jobs, without duplicates
  std::map<std::string, std::vector<std::string>> digests;  // dataset name → the digests that jobs evaluated under it
  for (const ReportedJob& one : jobs) {
    for (const EvaluatedSet& set : of_jobs.emplace_back(SetsOf(one.job))) {
      const bool is_known = std::any_of(all.begin(), all.end(), [&](const EvaluatedSet& known) { return known.IsLike(set); });
      if (!is_known) all.push_back(set);
      std::vector<std::string>& seen = digests[set.dataset];
      if (std::find(seen.begin(), seen.end(), set.digest) == seen.end()) seen.push_back(set.digest);
    }
  }
  Rows rows = {{"set", "metric"}};
  rows[0].insert(rows[0].end(), labels.begin(), labels.end());
  for (const EvaluatedSet& set : all) {
    std::string name = absl::StrCat(set.dataset, "/", set.split);
    if (digests[set.dataset].size() > 1) absl::StrAppend(&name, " (", set.digest.substr(0, 12), ")");
    for (const std::string& metric : OrderedMetricNames(set.Last())) {
      std::vector<std::string> row = {name, metric};
      for (const std::vector<EvaluatedSet>& of_job : of_jobs) {
        const auto own =
            std::find_if(of_job.begin(), of_job.end(), [&](const EvaluatedSet& known) { return known.IsLike(set); });
        const bool has_it = own != of_job.end();
        row.push_back(has_it ? absl::StrCat(ValueCell(own->Last(), metric), " (", own->Last().label(), ")") : "");
      }
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

}  // namespace muster
