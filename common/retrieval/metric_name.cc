#include "common/retrieval/metric_name.h"

#include <tuple>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/view.h"

namespace muster {
namespace {

// (place, cutoff, name), to sort by.
std::tuple<int, int, std::string_view> OrderOf(std::string_view name) {
  const auto parsed = ParseMetricName(name);
  if (!parsed.ok()) return {9, 0, name};
  const auto place = [&] {
    switch (parsed->kind) {
      case MetricName::Kind::kNdcg: return 0;
      case MetricName::Kind::kMrr: return 1;
      case MetricName::Kind::kMap: return 2;
      case MetricName::Kind::kRecall: return 3;
      case MetricName::Kind::kPrecision: return 4;
    }
    return 9;
  };
  return {place(), parsed->cutoff, name};
}

}  // namespace

absl::StatusOr<MetricName> ParseMetricName(std::string_view text) {
  const absl::string_view name = ToAbsl(text);
  using Kind = MetricName::Kind;
  constexpr int kMostKept = 1000;  // how many documents an evaluation ranks per query
  for (const auto& [word, kind] : {std::pair<absl::string_view, Kind>{"ndcg", Kind::kNdcg},
                                   {"mrr", Kind::kMrr},
                                   {"recall", Kind::kRecall},
                                   {"map", Kind::kMap},
                                   {"precision", Kind::kPrecision}}) {
    if (!absl::StartsWith(name, word)) continue;
    const absl::string_view rest = name.substr(word.size());
    if (rest.empty() && kind != Kind::kPrecision) return MetricName{kind, 0};
    int cutoff = 0;
    if (absl::StartsWith(rest, "@") && absl::SimpleAtoi(rest.substr(1), &cutoff) && cutoff >= 1 && cutoff <= kMostKept &&
        rest.substr(1) == absl::StrCat(cutoff)) {
      return MetricName{kind, cutoff};
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("unknown metric \"", name, "\". Allowed: ndcg@K, mrr@K, recall@K, map@K, precision@K (K from 1 to 1000), "
                   "and ndcg, mrr, recall, map without a cutoff."));
}

bool ComesBefore(std::string_view metric, std::string_view other) { return OrderOf(metric) < OrderOf(other); }

}  // namespace muster
