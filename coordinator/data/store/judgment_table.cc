#include "coordinator/data/store/judgment_table.h"

#include <algorithm>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"

namespace muster {
namespace {

using JudgedPair = std::tuple<uint32_t, uint16_t, uint16_t>;  // document, source, sign

// Appends the edges first..last of one query.
void AppendRow(const JudgmentEdge* first, const JudgmentEdge* last, JudgmentTable& table) {
  absl::flat_hash_set<uint32_t> positive_passages;
  for (const JudgmentEdge* edge = first; edge != last; ++edge) {
    if (IsPositive(edge->judgment)) positive_passages.insert(edge->judgment.passage);
  }
  absl::flat_hash_map<JudgedPair, size_t> stored;
  std::vector<JudgmentEdge> row;
  for (const JudgmentEdge* edge = first; edge != last; ++edge) {
    const Judgment& judgment = edge->judgment;
    const auto [found, is_new] = stored.try_emplace(
        JudgedPair(judgment.document, judgment.source, judgment.hard_negative), row.size());
    if (judgment.hard_negative != 0 && positive_passages.contains(judgment.passage)) {
      table.contradicted += is_new && judgment.hard_negative == kHardNegative;
    } else if (is_new) {
      row.push_back(*edge);
    } else {
      JudgmentEdge& kept = row[found->second];
      table.conflicting += judgment.hard_negative == 0 && kept.judgment.grade != judgment.grade;
      kept.judgment.grade = std::max(kept.judgment.grade, judgment.grade);
      if (!HasScore(kept.score)) kept.score = edge->score;
    }
  }
  std::stable_partition(row.begin(), row.end(), [](const JudgmentEdge& edge) { return edge.judgment.hard_negative == 0; });
  for (const JudgmentEdge& edge : row) {
    table.judgments.push_back(edge.judgment);
    table.scores.push_back(edge.score);
  }
}

}  // namespace

JudgmentTable TableFromEdges(std::vector<JudgmentEdge> edges, uint32_t queries) {
  std::stable_sort(edges.begin(), edges.end(),
                   [](const JudgmentEdge& a, const JudgmentEdge& b) { return a.query < b.query; });
  JudgmentTable table;
  table.offsets.reserve(uint64_t{queries} + 1);
  table.judgments.reserve(edges.size());
  const JudgmentEdge* next = edges.data();
  const JudgmentEdge* const end = edges.data() + edges.size();
  for (uint32_t query = 0; query < queries; ++query) {
    table.offsets.push_back(table.judgments.size());
    const JudgmentEdge* first = next;
    while (next != end && next->query == query) ++next;
    if (first != next) AppendRow(first, next, table);
  }
  table.offsets.push_back(table.judgments.size());
  if (std::none_of(table.scores.begin(), table.scores.end(), HasScore)) table.scores = {};
  return table;
}

}  // namespace muster
