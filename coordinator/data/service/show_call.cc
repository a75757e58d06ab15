#include "coordinator/data/service/show_call.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/nearest_name.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/plan/permutation.h"

namespace muster {
namespace {

using muster::v1::ShowDatasetRequest;
using muster::v1::ShowDatasetResponse;

constexpr uint32_t kDefaultQueries = 5, kMaxQueries = 100;
constexpr size_t kMaxJudged = 50;
constexpr size_t kMaxResponseBytes = 3 << 20;  // total size of all texts; a message has at most 4 MiB
constexpr size_t kMaxTextBytes = 64 << 10;

// Cuts before a character, so that UTF-8 stays valid.
std::string Cut(std::string_view text, size_t limit) {
  if (text.size() <= limit) return std::string(text);
  while (limit > 0 && (text[limit] & 0xC0) == 0x80) --limit;
  return absl::StrCat(ToAbsl(text.substr(0, limit)), "…");
}

uint64_t CountJudged(const Dataset& dataset, uint32_t split) {
  uint64_t judged = 0;
  for (uint32_t query = 0; query < dataset.queries(); ++query) judged += !dataset.judgments(split, query).empty();
  return judged;
}

class Sampler {
 public:
  Sampler(const Dataset& dataset, const std::string& name, const ShowDatasetRequest& request)
      : dataset_(dataset), name_(name), request_(request) {}

  absl::StatusOr<uint32_t> Split() const {
    const std::vector<std::string>& splits = dataset_.splits();
    if (!request_.split().empty()) {
      const auto found = std::find(splits.begin(), splits.end(), request_.split());
      if (found != splits.end()) return static_cast<uint32_t>(found - splits.begin());
      return absl::InvalidArgumentError(absl::StrCat("split: dataset \"", name_, "\" has no split \"", request_.split(),
                                                     "\". ", WhatExists(request_.split(), splits)));
    }
    if (splits.empty()) return absl::InvalidArgumentError(absl::StrCat("dataset \"", name_, "\" has no split"));
    if (!request_.query_id().empty()) {
      const std::optional<uint32_t> query = Find();
      for (uint32_t split = 0; query.has_value() && split < splits.size(); ++split) {
        if (!dataset_.judgments(split, *query).empty()) return split;
      }
    }
    const auto train = std::find(splits.begin(), splits.end(), "train");
    return train == splits.end() ? 0 : static_cast<uint32_t>(train - splits.begin());
  }

  absl::StatusOr<std::vector<uint32_t>> Queries(uint32_t split) const {
    if (!request_.query_id().empty()) {
      const std::optional<uint32_t> query = Find();
      if (query.has_value()) return std::vector<uint32_t>{*query};
      return absl::NotFoundError(absl::StrCat("query_id: dataset \"", name_, "\" has no query \"",
                                              Cut(request_.query_id(), 200), "\". See some with muster data show ",
                                              name_, "."));
    }
    const uint64_t wanted = std::min<uint64_t>(request_.queries() == 0 ? kDefaultQueries : request_.queries(),
                                               CountJudged(dataset_, split));
    const KeyedPermutation order(dataset_.queries(), request_.seed());
    std::vector<uint32_t> chosen;
    for (uint64_t position = 0; chosen.size() < wanted; ++position) {
      const auto query = static_cast<uint32_t>(order(position));
      if (!dataset_.judgments(split, query).empty()) chosen.push_back(query);
    }
    return chosen;
  }

 private:
  std::optional<uint32_t> Find() const {
    for (uint32_t query = 0; query < dataset_.queries(); ++query) {
      if (dataset_.query_id(query) == request_.query_id()) return query;
    }
    return std::nullopt;
  }

  const Dataset& dataset_;
  const std::string& name_;
  const ShowDatasetRequest& request_;
};

void AddQuery(const Dataset& dataset, uint32_t split, uint32_t query, size_t limit, ShowDatasetResponse& response) {
  muster::v1::ShownQuery& shown = *response.add_queries();
  shown.set_id(Cut(dataset.query_id(query), limit));
  shown.set_text(Cut(dataset.query_text(query), limit));
  const auto judgments = dataset.judgments(split, query);
  shown.set_judgments(judgments.size());
  for (const Judgment& judgment : judgments.subspan(0, std::min(judgments.size(), kMaxJudged))) {
    muster::v1::JudgedPassage& passage = *shown.add_judged();
    passage.set_id(Cut(dataset.document_id(judgment.document), limit));
    passage.set_title(Cut(dataset.title(judgment.passage), limit));
    passage.set_text(Cut(dataset.body(judgment.passage), limit));
    passage.set_grade(judgment.hard_negative != 0 ? 0 : judgment.grade);
    passage.set_source(dataset.sources()[judgment.source]);
    passage.set_hard_negative(judgment.hard_negative == kHardNegative);
    passage.set_ignored(judgment.hard_negative == kIgnored);
  }
}

}  // namespace

absl::StatusOr<ShowDatasetResponse> ShowDataset(const DataStores& stores, const ShowDatasetRequest& request) {
  if (request.queries() > kMaxQueries) {
    return absl::InvalidArgumentError(
        absl::StrCat("queries: ", request.queries(), " are asked for, at most ", kMaxQueries, " are shown."));
  }
  ShowDatasetResponse response;
  ASSIGN_OR_RETURN(*response.mutable_dataset(), stores.catalogue->GetDataset(request.name()));
  ASSIGN_OR_RETURN(const auto dataset, stores.shelf->Open(response.dataset().digest()));
  const Sampler sampler(*dataset, request.name(), request);
  ASSIGN_OR_RETURN(const uint32_t split, sampler.Split());
  response.set_split(dataset->splits()[split]);
  ASSIGN_OR_RETURN(const std::vector<uint32_t> queries, sampler.Queries(split));
  size_t texts = 1;
  for (const uint32_t query : queries) {
    texts += 2 + 3 * std::min(dataset->judgments(split, query).size(), kMaxJudged);
  }
  const size_t limit = std::min(kMaxTextBytes, kMaxResponseBytes / texts);
  for (const uint32_t query : queries) AddQuery(*dataset, split, query, limit, response);
  return response;
}

}  // namespace muster
