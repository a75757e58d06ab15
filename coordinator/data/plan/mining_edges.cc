#include "coordinator/data/plan/mining_edges.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "coordinator/data/store/identical_ids.h"
#include "coordinator/data/store/judgment_table.h"
#include "coordinator/data/store/normalize.h"

namespace muster {
namespace {

using muster::internal::v1::MiningEdges;
using QueryNumbers = std::vector<std::vector<uint32_t>>;  // document numbers of each query

// What Dataset::passage_digest returns for a passage that has this body and no title.
uint64_t DigestOfUntitled(std::string_view body) {
  const PassageDigest digest = DigestOfPassage("", body);
  uint64_t first = 0;
  std::memcpy(&first, digest.data(), sizeof(first));
  return first;
}

class EdgeMaker {
 public:
  EdgeMaker(const Dataset& dataset, const DocumentNumbering& numbering, uint32_t split, std::span<const uint32_t> queries)
      : dataset_(dataset), numbering_(numbering), split_(split), queries_(queries), positives_(queries.size()),
        excluded_(queries.size()) {}

  MiningEdges Make() {
    for (uint32_t i = 0; i < queries_.size(); ++i) same_text_[NormalizeText(dataset_.query_text(queries_[i]))].push_back(i);
    AddJudged();
    ShareAmongEqualTexts();
    AddOwnTexts();
    MiningEdges edges;
    Write(positives_, *edges.mutable_positive_offsets(), *edges.mutable_positives());
    Write(excluded_, *edges.mutable_excluded_offsets(), *edges.mutable_excluded());
    return edges;
  }

 private:
  // Ranks encode one document per text: returns the one that has the text of document `number`.
  uint32_t EncodedOf(uint32_t number) const {
    const auto& aliases = numbering_.aliases;
    const auto found = std::ranges::lower_bound(aliases, number, {}, &std::pair<uint32_t, uint32_t>::first);
    return found != aliases.end() && found->first == number ? found->second : number;
  }

  bool IsMined(const Judgment& judgment) const {
    return judgment.hard_negative == kHardNegative && dataset_.sources()[judgment.source] == kMinedSource;
  }

  void AddJudged() {
    for (uint32_t i = 0; i < queries_.size(); ++i) {
      for (const Judgment& judgment : dataset_.judgments(split_, queries_[i])) {
        if (IsMined(judgment)) continue;
        const uint32_t document = EncodedOf(numbering_.numbers[judgment.document]);
        excluded_[i].push_back(document);
        if (IsPositive(judgment)) positives_[i].push_back(document);
      }
    }
  }

  void ShareAmongEqualTexts() {
    for (const auto& [text, rows] : same_text_) {
      if (rows.size() == 1) continue;
      std::vector<uint32_t> all;
      for (const uint32_t i : rows) all.insert(all.end(), excluded_[i].begin(), excluded_[i].end());
      for (const uint32_t i : rows) excluded_[i] = all;
    }
  }

  void AddOwnTexts() {
    absl::flat_hash_map<uint64_t, const std::vector<uint32_t>*> by_digest;
    for (const auto& [text, rows] : same_text_) by_digest.emplace(DigestOfUntitled(text), &rows);
    uint32_t alias = 0;
    for (uint32_t number = 0; number < numbering_.documents.size(); ++number) {
      if (alias < numbering_.aliases.size() && numbering_.aliases[alias].first == number) {
        ++alias;
        continue;
      }
      const uint32_t passage = numbering_.passages[number];
      const auto found = by_digest.find(dataset_.passage_digest(passage));
      if (found == by_digest.end() || !dataset_.title(passage).empty()) continue;
      const std::string_view query = dataset_.query_text(queries_[found->second->front()]);
      if (NormalizeText(dataset_.body(passage)) != NormalizeText(query)) continue;
      for (const uint32_t i : *found->second) excluded_[i].push_back(number);
    }
    for (uint32_t i = 0; i < queries_.size(); ++i) AddDocumentOfOwnId(i);
  }

  // Does not find passages that have a title: their digests include it.
  void AddDocumentOfOwnId(uint32_t i) {
    const std::string_view id = dataset_.query_id(queries_[i]);
    // Documents are numbered in descending order of their ids.
    const auto found = std::ranges::lower_bound(numbering_.documents, id, std::greater<>(),
                                                [&](uint32_t document) { return dataset_.document_id(document); });
    if (found == numbering_.documents.end() || dataset_.document_id(*found) != id) return;
    if (!IsSameText(dataset_, {queries_[i], *found})) return;
    excluded_[i].push_back(EncodedOf(static_cast<uint32_t>(found - numbering_.documents.begin())));
  }

  template <typename Numbers>
  static void Write(QueryNumbers& rows, Numbers& offsets, Numbers& numbers) {
    offsets.Add(0);
    for (std::vector<uint32_t>& row : rows) {
      std::ranges::sort(row);
      row.erase(std::unique(row.begin(), row.end()), row.end());
      numbers.Add(row.begin(), row.end());
      offsets.Add(static_cast<uint32_t>(numbers.size()));
    }
  }

  const Dataset& dataset_;
  const DocumentNumbering& numbering_;
  const uint32_t split_;
  const std::span<const uint32_t> queries_;
  QueryNumbers positives_, excluded_;
  absl::flat_hash_map<std::string, std::vector<uint32_t>> same_text_;  // normal form of a text → positions in `queries_`
};

}  // namespace

MiningEdges MakeMiningEdges(const Dataset& dataset, const DocumentNumbering& numbering, uint32_t split,
                            std::span<const uint32_t> queries) {
  return EdgeMaker(dataset, numbering, split, queries).Make();
}

}  // namespace muster
