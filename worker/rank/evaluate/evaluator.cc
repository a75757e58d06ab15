#include "worker/rank/evaluate/evaluator.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "common/exception_status.h"
#include "common/retrieval/metrics.h"
#include "common/spec/job_spec.h"
#include "common/status.h"
#include "worker/rank/evaluate/encode_all.h"
#include "worker/rank/evaluate/exact_search.h"

namespace muster {
namespace {

using muster::internal::v1::EvaluationHeader;
using muster::v1::Evaluation;

// Reads back as the same bits.
std::string ShortestNumber(double value) {
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof(text), value).ptr);
}

// Judgments, aliases and equal ids, on rank 0.
class Judge {
 public:
  static absl::StatusOr<Judge> Make(const EvaluationHeader& header, const EvaluatorOptions& options) {
    Judge judge(header, options);
    const auto& offsets = header.judged_offsets();
    if (offsets.size() != int64_t{header.query_count()} + 1 || offsets[0] != 0 ||
        !std::is_sorted(offsets.begin(), offsets.end()) ||
        offsets[header.query_count()] != static_cast<uint32_t>(header.judged_documents_size()) ||
        header.judged_grades_size() != header.judged_documents_size() ||
        header.alias_documents_size() != header.alias_targets_size()) {
      return absl::InvalidArgumentError("evaluation: judgments or aliases of the header do not fit together");
    }
    for (int i = 0; i < header.alias_targets_size(); ++i) {
      judge.aliases_.emplace(header.alias_targets(i), header.alias_documents(i));
    }
    if (options.ignore_identical_ids) RETURN_IF_ERROR(judge.TakeIdenticalIds());
    for (const std::string& name : options.metrics) {
      ASSIGN_OR_RETURN(const MetricName metric, ParseMetricName(name));
      judge.metrics_.emplace(name, metric);  // ignores repeated names
    }
    if (options.query_values != nullptr) *options.query_values = judge.Header();
    return judge;
  }

  // Adds one query's ranking: encoded documents in order.
  void Add(int64_t query, const float* scores, const int64_t* numbers, int64_t count) {
    const bool counts = HasRelevant(query);
    if (!counts && !options_.ranked) return;
    Ranking ranking = RankingOf(query, scores, numbers, count);
    if (options_.ranked) Report(query, ranking);
    if (!counts) return;
    ranking.resize(std::min<size_t>(ranking.size(), options_.kept));
    Measure(query, ranking);
  }

  Evaluation Result() const {
    Evaluation result;
    for (const auto& [name, sum] : sums_) (*result.mutable_metrics())[name] = sum / queries_;
    result.set_queries(queries_);
    result.set_documents(header_.document_count());
    return result;
  }

 private:
  using Ranking = std::vector<std::pair<float, int64_t>>;  // (-score, number)

  Judge(const EvaluationHeader& header, const EvaluatorOptions& options) : header_(header), options_(options) {}

  bool HasRelevant(int64_t query) const {
    const auto grades = header_.judged_grades().begin();
    return std::any_of(grades + header_.judged_offsets(query), grades + header_.judged_offsets(query + 1),
                       [](float grade) { return grade > 0; });
  }

  // All documents with the texts of the encoded ones, best first.
  Ranking RankingOf(int64_t query, const float* scores, const int64_t* numbers, int64_t count) const {
    Ranking ranking;
    for (int64_t i = 0; i < count && numbers[i] >= 0; ++i) {
      ranking.emplace_back(-scores[i], numbers[i]);
      const auto [first, last] = aliases_.equal_range(numbers[i]);
      for (auto alias = first; alias != last; ++alias) ranking.emplace_back(-scores[i], alias->second);
    }
    if (const auto same = identical_ids_.find(query); same != identical_ids_.end()) {
      std::erase_if(ranking, [&](const auto& entry) { return entry.second == same->second; });
    }
    std::sort(ranking.begin(), ranking.end());
    return ranking;
  }

  void Report(int64_t query, const Ranking& ranking) const {
    const size_t depth = std::min<size_t>(ranking.size(), options_.ranked_depth);
    std::vector<uint32_t> documents;
    std::vector<float> scores;
    for (size_t i = 0; i < depth; ++i) {
      documents.push_back(static_cast<uint32_t>(ranking[i].second));
      scores.push_back(-ranking[i].first);
    }
    options_.ranked(static_cast<uint32_t>(query), documents, scores);
  }

  void Measure(int64_t query, const Ranking& ranking) {
    std::unordered_map<int64_t, float> grades;
    std::vector<float> judged;
    for (uint32_t e = header_.judged_offsets(query); e < header_.judged_offsets(query + 1); ++e) {
      grades[header_.judged_documents(e)] = header_.judged_grades(e);
      judged.push_back(header_.judged_grades(e));
    }
    std::vector<float> ranked;
    for (const auto& [score, number] : ranking) {
      const auto found = grades.find(number);
      ranked.push_back(found == grades.end() ? 0 : found->second);
    }
    std::string line = absl::StrCat(query);
    for (const auto& [name, metric] : metrics_) {
      const double value = EvaluateMetric(metric, ranked, judged);
      sums_[name] += value;
      if (options_.query_values != nullptr) absl::StrAppend(&line, ",", ShortestNumber(value));
    }
    if (options_.query_values != nullptr) absl::StrAppend(options_.query_values, line, "\n");
    ++queries_;
  }

  std::string Header() const {
    std::string header = "query";
    for (const auto& [name, metric] : metrics_) absl::StrAppend(&header, ",", name);
    return header + "\n";
  }

  absl::Status TakeIdenticalIds() {
    const auto &queries = header_.identical_id_queries(), &documents = header_.identical_id_documents();
    const int pairs = queries.size() - 1;
    if (queries.empty() || documents.size() != queries.size() || queries[pairs] != header_.query_count() ||
        documents[pairs] != header_.document_count()) {
      return absl::FailedPreconditionError(
          "evaluation: the data server does not know ignore_identical_ids, and would rank documents with the query's id. "
          "Upgrade muster-data to this version.");
    }
    for (int i = 0; i < pairs; ++i) identical_ids_.emplace(queries[i], documents[i]);
    return absl::OkStatus();
  }

  const EvaluationHeader& header_;
  const EvaluatorOptions& options_;
  std::unordered_multimap<int64_t, int64_t> aliases_;  // encoded document → documents with its text
  std::unordered_map<int64_t, int64_t> identical_ids_;  // query → document with its id, to be left out
  std::map<std::string, MetricName> metrics_;
  std::map<std::string, double> sums_;
  uint64_t queries_ = 0;
};

}  // namespace

absl::StatusOr<Evaluation> Evaluate(const Encoder& encoder, Group& group, EvaluationSource source,
                                    const EvaluatorOptions& options) try {
  at::NoGradGuard no_gradient;
  const EvaluationHeader& header = source.header;
  std::unique_ptr<Judge> judge;
  if (group.rank() == 0) {
    ASSIGN_OR_RETURN(Judge made, Judge::Make(header, options));
    judge = std::make_unique<Judge>(std::move(made));
  }
  ASSIGN_OR_RETURN(LocalEmbeddings local, EncodeAll(encoder, source, options));
  ASSIGN_OR_RETURN(ExactSearch search, ExactSearch::Create(group, std::move(local), header, "evaluation"));
  // One more document than a ranking keeps, if one may be left out of it.
  const int64_t found = std::max(options.kept, options.ranked_depth) + (options.ignore_identical_ids ? 1 : 0);
  for (int64_t first = 0; first < search.queries().size(0); first += options.queries_at_once) {
    const int64_t count = std::min(options.queries_at_once, search.queries().size(0) - first);
    ASSIGN_OR_RETURN(const TopDocuments best, search.Find(first, count, found));
    if (judge == nullptr) continue;
    for (int64_t q = 0; q < count; ++q) {
      judge->Add(first + q, best.scores.const_data_ptr<float>() + q * found,
                 best.numbers.const_data_ptr<int64_t>() + q * found, found);
    }
  }
  RETURN_IF_ERROR(search.CheckScores());
  ASSIGN_OR_RETURN(const auto results, group.AllGatherBytes(judge ? judge->Result().SerializeAsString() : ""));
  Evaluation result;
  if (!result.ParseFromString(results[0])) return absl::InternalError("evaluation: rank 0's result cannot be read");
  if (result.queries() == 0) {
    return absl::InvalidArgumentError("evaluation: no query of the split has a relevant document");
  }
  return result;
} catch (const std::exception& error) {
  return StatusFromException(absl::StatusCode::kInternal, "evaluation", error);
}

}  // namespace muster
