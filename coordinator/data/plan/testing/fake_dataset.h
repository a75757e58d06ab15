// A dataset in memory, for tests.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/digest.h"
#include "coordinator/data/dataset.h"

namespace muster {

class FakeDataset final : public Dataset {
 public:
  FakeDataset() = default;
  // Names have their own digests, and so have the queries of each.
  explicit FakeDataset(const std::string& name) : digest_(Sha256Hex(name)) {
    std::memcpy(&first_query_digest_, digest_.data(), sizeof first_query_digest_);
  }

  // A document with a text; equal texts share a passage. Returns its index.
  uint32_t Document(const std::string& id, const std::string& body, const std::string& title = "") {
    uint32_t passage = 0;
    while (passage < texts_.size() && texts_[passage] != std::pair(title, body)) ++passage;
    return DocumentOfPassage(id, passage == texts_.size() ? NewPassage(body, title) : passage);
  }
  uint32_t NewPassage(const std::string& body, const std::string& title = "") {
    texts_.emplace_back(title, body);
    return static_cast<uint32_t>(texts_.size() - 1);
  }
  uint32_t DocumentOfPassage(const std::string& id, uint32_t passage) {
    documents_.emplace_back(id, passage);
    return static_cast<uint32_t>(documents_.size() - 1);
  }
  uint32_t Query(const std::string& text, float weight = 1) {
    queries_.push_back({"q" + std::to_string(queries_.size()), text, weight, {}, {}});
    return static_cast<uint32_t>(queries_.size() - 1);
  }
  uint32_t QueryWithId(const std::string& id, const std::string& text) {
    queries_.push_back({id, text, 1, {}, {}});
    return static_cast<uint32_t>(queries_.size() - 1);
  }
  void Judge(uint32_t query, uint32_t document, float grade = 1, uint16_t source = 0, uint32_t split = 0) {
    Edges(query, split).push_back({document, documents_[document].second, grade, source, 0});
  }
  void HardNegative(uint32_t query, uint32_t document, uint32_t split = 0) {
    Edges(query, split).push_back({document, documents_[document].second, 0, 0, 1});
  }
  void Ignore(uint32_t query, uint32_t document, uint32_t split = 0) {
    Edges(query, split).push_back({document, documents_[document].second, 0, 0, kIgnored});
  }
  // Adds a teacher's score to the query's last judgment.
  void Score(uint32_t query, float score, uint32_t split = 0) {
    auto& scores = queries_[query].scores;
    if (scores.size() <= split) scores.resize(split + 1);
    scores[split].resize(Edges(query, split).size() - 1, kNoScore);
    scores[split].push_back(score);
  }

  const std::string& digest() const override { return digest_; }
  uint32_t passages() const override { return static_cast<uint32_t>(texts_.size()); }
  std::string_view title(uint32_t passage) const override { return texts_[passage].first; }
  std::string_view body(uint32_t passage) const override { return texts_[passage].second; }
  uint32_t documents() const override { return static_cast<uint32_t>(documents_.size()); }
  std::string_view document_id(uint32_t document) const override { return documents_[document].first; }
  uint32_t passage_of(uint32_t document) const override { return documents_[document].second; }
  uint32_t queries() const override { return static_cast<uint32_t>(queries_.size()); }
  std::string_view query_id(uint32_t query) const override { return queries_[query].id; }
  std::string_view query_text(uint32_t query) const override { return queries_[query].text; }
  float query_weight(uint32_t query) const override { return queries_[query].weight; }
  uint64_t query_digest(uint32_t query) const override { return uint64_t{query} * 0x9E3779B97F4A7C15 + first_query_digest_; }
  const std::vector<std::string>& sources() const override { return sources_; }
  const std::vector<std::string>& splits() const override { return splits_; }
  std::span<const Judgment> judgments(uint32_t split, uint32_t query) const override {
    const auto& by_split = queries_[query].edges;
    return split < by_split.size() ? std::span<const Judgment>(by_split[split]) : std::span<const Judgment>();
  }
  std::span<const float> scores(uint32_t split, uint32_t query) const override {
    auto& by_split = queries_[query].scores;
    if (split >= by_split.size() || by_split[split].empty()) return {};
    by_split[split].resize(judgments(split, query).size(), kNoScore);
    return by_split[split];
  }

 private:
  struct QueryRow {
    std::string id, text;
    float weight;
    std::vector<std::vector<Judgment>> edges;        // by split
    mutable std::vector<std::vector<float>> scores;  // by split; may be shorter than the edges until they are read
  };
  std::vector<Judgment>& Edges(uint32_t query, uint32_t split) {
    auto& edges = queries_[query].edges;
    if (edges.size() <= split) edges.resize(split + 1);
    return edges[split];
  }

  std::string digest_ = Sha256Hex("a dataset in memory");
  uint64_t first_query_digest_ = 1;
  std::vector<std::string> sources_ = {"human", "llm"}, splits_ = {"train", "test"};
  std::vector<std::pair<std::string, std::string>> texts_;       // title, body
  std::vector<std::pair<std::string, uint32_t>> documents_;      // id, passage
  std::vector<QueryRow> queries_;
};

}  // namespace muster
