#include "coordinator/data/store/judgment_table.h"

#include <algorithm>
#include <tuple>

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
  const size_t begin = table.judgments.size();
  for (const JudgmentEdge* edge = first; edge != last; ++edge) {
    const Judgment& judgment = edge->judgment;
    const auto [found, is_new] = stored.try_emplace(
        JudgedPair(judgment.document, judgment.source, judgment.hard_negative), table.judgments.size());
    if (judgment.hard_negative != 0 && positive_passages.contains(judgment.passage)) {
      table.contradicted += is_new && judgment.hard_negative == kHardNegative;
    } else if (is_new) {
      table.judgments.push_back(judgment);
    } else {
      Judgment& kept = table.judgments[found->second];
      table.conflicting += judgment.hard_negative == 0 && kept.grade != judgment.grade;
      kept.grade = std::max(kept.grade, judgment.grade);
    }
  }
  std::stable_partition(table.judgments.begin() + static_cast<std::ptrdiff_t>(begin), table.judgments.end(),
                        [](const Judgment& judgment) { return judgment.hard_negative == 0; });
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
  return table;
}

}  // namespace muster
