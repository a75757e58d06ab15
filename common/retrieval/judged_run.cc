#include "common/retrieval/judged_run.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/retrieval/text_file.h"

namespace muster {
namespace {

// Queries that a note is about: how many, and the first one.
class QueryCount {
 public:
  void Add(std::string_view id) {
    if (count_++ == 0) first_ = QuotedId(id);
  }
  size_t count() const { return count_; }
  // `one` and `many`: the statement about one query and about several.
  void Note(const std::string& file, const char* one, const char* many, std::vector<std::string>& notes) const {
    if (count_ == 0) return;
    notes.push_back(count_ == 1 ? absl::StrCat(file, ": query ", first_, " ", one, ".")
                                : absl::StrCat(file, ": ", count_, " queries (the first: ", first_, ") ", many, "."));
  }

 private:
  size_t count_ = 0;
  std::string first_;
};

bool HasRelevant(const Qrels::Query& query) {
  return std::any_of(query.grades.begin(), query.grades.end(), [](const auto& judged) { return judged.second > 0; });
}

absl::Status NothingInCommon(const RunFile& run, const Qrels& qrels) {
  return absl::InvalidArgumentError(
      absl::StrCat(run.file(), ": none of its queries is judged in ", qrels.file(), ". The run begins with query ",
                   QuotedId(run.queries().front().id), ", the judgments with ", QuotedId(qrels.queries().front().id),
                   ". Name the judgments of the same dataset and split."));
}

}  // namespace

absl::StatusOr<JudgedRun> JudgeRun(const RunFile& run, const Qrels& qrels, const std::vector<MetricName>& metrics,
                                   RankingRule rule) {
  QueryCount unjudged, irrelevant, missing, contradicting;
  for (const RunFile::Query& query : run.queries()) {
    if (qrels.Find(query.id) == nullptr) unjudged.Add(query.id);
    if (rule == RankingRule::kMuster && RanksContradictScores(query)) contradicting.Add(query.id);
  }
  if (unjudged.count() == run.queries().size()) return NothingInCommon(run, qrels);
  JudgedRun result;
  result.values.resize(metrics.size());
  for (const Qrels::Query& judged : qrels.queries()) {
    const RunFile::Query* const found = run.Find(judged.id);
    const bool relevant = HasRelevant(judged);
    if (!relevant) irrelevant.Add(judged.id);
    if (found == nullptr && (relevant || rule == RankingRule::kTrecEval)) missing.Add(judged.id);
    if (rule == RankingRule::kMuster ? !relevant : found == nullptr) continue;
    std::vector<float> ranked, grades;
    if (found != nullptr) {
      for (const RunFile::Entry& entry : Ranked(*found, rule)) {
        const auto grade = judged.grades.find(entry.document);
        ranked.push_back(grade == judged.grades.end() ? 0 : grade->second);
      }
    }
    for (const auto& [document, grade] : judged.grades) grades.push_back(grade);
    result.queries.emplace_back(judged.id);
    for (size_t m = 0; m < metrics.size(); ++m) result.values[m].push_back(EvaluateMetric(metrics[m], ranked, grades));
  }
  if (result.queries.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(qrels.file(), ": no query has a document with a grade above 0, so nothing can be measured."));
  }
  const bool own_rule = rule == RankingRule::kMuster;
  irrelevant.Note(qrels.file(), own_rule ? "has no relevant document and is left out" : "has no relevant document and counts 0",
                  own_rule ? "have no relevant document and are left out" : "have no relevant document and count 0",
                  result.notes);
  unjudged.Note(run.file(), "is not judged and is left out", "are not judged and are left out", result.notes);
  missing.Note(run.file(), own_rule ? "is missing and counts 0" : "is missing and is left out",
               own_rule ? "are missing and count 0" : "are missing and are left out", result.notes);
  contradicting.Note(run.file(), "has ranks that contradict its scores; the scores count",
                     "have ranks that contradict their scores; the scores count", result.notes);
  return result;
}

}  // namespace muster
