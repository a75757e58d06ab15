#include "coordinator/data/store/dataset_report.h"

#include <algorithm>
#include <limits>
#include <map>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "coordinator/data/store/judgment_table.h"
#include "coordinator/data/store/normalize.h"

namespace muster {
namespace {

constexpr size_t kMaxGrades = 20;
constexpr int kRanges = 10;

template <typename Visit>  // (split, query, judgment)
void ForEachJudgment(const Dataset& dataset, const Visit& visit) {
  for (uint32_t split = 0; split < dataset.splits().size(); ++split) {
    for (uint32_t query = 0; query < dataset.queries(); ++query) {
      for (const Judgment& judgment : dataset.judgments(split, query)) visit(split, query, judgment);
    }
  }
}

// Bounded memory, however many different grades there are.
void AddGrades(const Dataset& dataset, muster::v1::ImportReport& report) {
  std::map<float, uint64_t> grades;  // up to one more than kMaxGrades
  float low = std::numeric_limits<float>::max(), high = 0;
  ForEachJudgment(dataset, [&](uint32_t, uint32_t, const Judgment& judgment) {
    if (judgment.hard_negative != 0) return;
    low = std::min(low, judgment.grade);
    high = std::max(high, judgment.grade);
    const auto known = grades.find(judgment.grade);
    if (known != grades.end()) {
      ++known->second;
    } else if (grades.size() <= kMaxGrades) {
      grades[judgment.grade] = 1;
    }
  });
  if (grades.size() <= kMaxGrades) {
    for (const auto& [grade, judgments] : grades) (*report.mutable_grades())[absl::StrCat(grade)] = judgments;
    return;
  }
  const double width = (static_cast<double>(high) - low) / kRanges;
  std::vector<uint64_t> ranges(kRanges);
  ForEachJudgment(dataset, [&](uint32_t, uint32_t, const Judgment& judgment) {
    if (judgment.hard_negative != 0) return;
    const int range = static_cast<int>((static_cast<double>(judgment.grade) - low) / width);
    ++ranges[std::clamp(range, 0, kRanges - 1)];
  });
  for (int range = 0; range < kRanges; ++range) {
    const double begin = low + range * width;
    (*report.mutable_grades())[absl::StrCat(begin, " to ", begin + width)] += ranges[range];
  }
}

// The splits that judge each query: one bit for train, one for any other split.
struct SplitsOfQuery {
  bool in_train = false, in_other = false, has_positive = false;
};
std::vector<SplitsOfQuery> WhereJudged(const Dataset& dataset) {
  std::vector<SplitsOfQuery> judged(dataset.queries());
  ForEachJudgment(dataset, [&](uint32_t split, uint32_t query, const Judgment& judgment) {
    (dataset.splits()[split] == "train" ? judged[query].in_train : judged[query].in_other) = true;
    judged[query].has_positive |= IsPositive(judgment);
  });
  return judged;
}

}  // namespace

void AddFacts(const DatasetFacts& facts, muster::v1::ImportReport& report) {
  report.clear_positives_per_query();
  for (const auto& [positives, queries] : facts.positives_per_query) {
    (*report.mutable_positives_per_query())[positives] = queries;
  }
  report.set_duplicate_share(facts.duplicate_share);
  const auto doubtful = static_cast<double>(facts.own_positives + facts.other_positives);
  report.set_false_negative_share(facts.hard_negatives == 0 ? 0 : doubtful / static_cast<double>(facts.hard_negatives));
  report.set_empty_texts(facts.empty_texts);
}

void DescribeDataset(const Dataset& dataset, muster::v1::ImportReport& report) {
  report.clear_grades();
  AddGrades(dataset, report);
  report.clear_sources();
  std::vector<uint64_t> of_source(dataset.sources().size());
  ForEachJudgment(dataset, [&](uint32_t, uint32_t, const Judgment& judgment) { ++of_source[judgment.source]; });
  for (size_t source = 0; source < of_source.size(); ++source) {
    if (of_source[source] > 0) (*report.mutable_sources())[dataset.sources()[source]] = of_source[source];
  }

  const std::vector<SplitsOfQuery> judged = WhereJudged(dataset);
  uint64_t empty = 0, without_positive = 0, shared = 0;
  absl::flat_hash_set<uint64_t> elsewhere;  // hashes of texts of queries that a split other than train judges
  const absl::Hash<std::string> hash;
  for (uint32_t query = 0; query < dataset.queries(); ++query) {
    const std::string text = NormalizeText(dataset.query_text(query));
    empty += text.empty();
    without_positive += !judged[query].has_positive;
    if (judged[query].in_other) elsewhere.insert(hash(text));
  }
  if (!elsewhere.empty()) {
    for (uint32_t query = 0; query < dataset.queries(); ++query) {
      if (!judged[query].in_train) continue;
      shared += judged[query].in_other || elsewhere.contains(hash(NormalizeText(dataset.query_text(query))));
    }
  }
  report.set_empty_queries(empty);
  // The import may also have left out queries that are not in the dataset at all.
  report.set_queries_without_positive(std::max(report.queries_without_positive(), without_positive));
  report.set_train_queries_in_test(shared);
}

}  // namespace muster
