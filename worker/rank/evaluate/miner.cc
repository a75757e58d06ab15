#include "worker/rank/evaluate/miner.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/exception_status.h"
#include "common/status.h"
#include "worker/rank/device/upload.h"
#include "worker/rank/evaluate/encode_all.h"
#include "worker/rank/evaluate/exact_search.h"

namespace muster {
namespace {

using muster::internal::v1::EvaluationHeader;
using muster::internal::v1::MiningEdges;

constexpr int64_t kPairsAtOnce = 1 << 16;  // bounds the copies of embeddings that PositiveScores multiplies

template <typename Offsets, typename Numbers>
bool Fits(const Offsets& offsets, const Numbers& numbers, const EvaluationHeader& header) {
  return offsets.size() == int64_t{header.query_count()} + 1 && offsets[0] == 0 &&
         std::is_sorted(offsets.begin(), offsets.end()) &&
         offsets[offsets.size() - 1] == static_cast<uint32_t>(numbers.size()) &&
         std::ranges::all_of(numbers, [&](uint32_t number) { return number < header.document_count(); });
}

absl::Status CheckEdges(const EvaluationHeader& header) {
  if (!header.has_mining()) {
    return absl::FailedPreconditionError("mining: the data server does not support mining. Upgrade muster-data to this version.");
  }
  const MiningEdges& edges = header.mining();
  if (!Fits(edges.positive_offsets(), edges.positives(), header) ||
      !Fits(edges.excluded_offsets(), edges.excluded(), header)) {
    return absl::InvalidArgumentError("mining: the header's offsets do not match its positives or excluded documents");
  }
  if (edges.positives().empty()) {
    return absl::InvalidArgumentError("mining: no query of the split has a positive. Mine for another split.");
  }
  return absl::OkStatus();
}

std::span<const uint32_t> RowOf(const google::protobuf::RepeatedField<uint32_t>& offsets,
                                const google::protobuf::RepeatedField<uint32_t>& numbers, int64_t query) {
  return {numbers.data() + offsets[static_cast<int>(query)], numbers.data() + offsets[static_cast<int>(query) + 1]};
}

// The score of each positive, on every rank. The rank that has the document computes it, and the others add 0.
absl::StatusOr<at::Tensor> PositiveScores(Group& group, const ExactSearch& search, const MiningEdges& edges) {
  const int64_t* const numbers = search.numbers().const_data_ptr<int64_t>();
  const int64_t* const end = numbers + search.numbers().size(0);
  const at::Device device = search.queries().device();
  at::Tensor scores = at::zeros({edges.positives_size()}, search.queries().options().dtype(at::kFloat));
  std::vector<int64_t> pairs, query_rows, document_rows;
  const auto flush = [&] {
    const at::Tensor products = search.queries().index_select(0, IndicesOn(device, query_rows)) *
                                search.documents().index_select(0, IndicesOn(device, document_rows));
    scores.index_copy_(0, IndicesOn(device, pairs), products.sum(1).to(at::kFloat));
    for (std::vector<int64_t>* rows : {&pairs, &query_rows, &document_rows}) rows->clear();
  };
  for (int query = 0; query + 1 < edges.positive_offsets_size(); ++query) {
    for (uint32_t pair = edges.positive_offsets(query); pair < edges.positive_offsets(query + 1); ++pair) {
      const int64_t document = edges.positives(static_cast<int>(pair));
      const int64_t* const found = std::lower_bound(numbers, end, document);
      if (found == end || *found != document) continue;
      pairs.push_back(pair);
      query_rows.push_back(query);
      document_rows.push_back(found - numbers);
      if (static_cast<int64_t>(pairs.size()) == kPairsAtOnce) flush();
    }
  }
  if (!pairs.empty()) flush();
  std::vector<at::Tensor> all = {scores};
  RETURN_IF_ERROR(group.AllReduceSum(all));
  return scores.to(at::kCPU).contiguous();
}

// Chooses the negatives, on rank 0, from the rankings of one block of queries after the other.
class Chooser {
 public:
  Chooser(const MiningEdges& edges, const MiningRules& rules, const at::Tensor& positive_scores)
      : edges_(edges), rules_(rules), positive_scores_(positive_scores) {}

  // Row q of `best` is the ranking of query first + q.
  void Add(int64_t first, const TopDocuments& best) {
    for (int64_t q = 0; q < best.scores.size(0); ++q) AddQuery(first + q, best, q);
  }

  Mined Release() { return std::move(mined_); }

 private:
  void AddQuery(int64_t query, const TopDocuments& best, int64_t row) {
    const float* const all = positive_scores_.const_data_ptr<float>();
    const std::span<const float> positives(all + edges_.positive_offsets(static_cast<int>(query)),
                                           all + edges_.positive_offsets(static_cast<int>(query) + 1));
    std::vector<uint32_t> chosen;
    if (!positives.empty()) {
      const int64_t width = best.scores.size(1);
      const float* const scores = best.scores.const_data_ptr<float>() + row * width;
      const int64_t* const numbers = best.numbers.const_data_ptr<int64_t>() + row * width;
      std::vector<RankedDocument> ranking;
      for (int64_t i = 0; i < width && numbers[i] >= 0; ++i) ranking.push_back({static_cast<uint32_t>(numbers[i]), scores[i]});
      chosen = ChooseMined(rules_, static_cast<uint32_t>(query), std::ranges::min(positives),
                           RowOf(edges_.excluded_offsets(), edges_.excluded(), query), ranking);
      ++mined_.queries;
      mined_.short_queries += static_cast<int64_t>(chosen.size()) < rules_.per_query;
    }
    mined_.negatives.add_counts(static_cast<uint32_t>(chosen.size()));
    mined_.negatives.mutable_documents()->Add(chosen.begin(), chosen.end());
  }

  const MiningEdges& edges_;
  const MiningRules& rules_;
  const at::Tensor& positive_scores_;
  Mined mined_;
};

// How many documents the rankings of these queries must have so that last_rank documents that are not excluded remain in each.
int64_t Needed(const EvaluationHeader& header, const MiningRules& rules, int64_t first, int64_t count) {
  int64_t most = 0;
  for (int64_t query = first; query < first + count; ++query) {
    most = std::max<int64_t>(most, RowOf(header.mining().excluded_offsets(), header.mining().excluded(), query).size());
  }
  return std::min<int64_t>(rules.last_rank + most, header.document_count());
}

}  // namespace

absl::StatusOr<Mined> Mine(const Encoder& encoder, Group& group, EvaluationSource source, const MiningRules& rules,
                           const EvaluatorOptions& options) try {
  at::NoGradGuard no_gradient;
  const EvaluationHeader& header = source.header;
  RETURN_IF_ERROR(CheckEdges(header));
  ASSIGN_OR_RETURN(LocalEmbeddings local, EncodeAll(encoder, source, options));
  ASSIGN_OR_RETURN(ExactSearch search, ExactSearch::Create(group, std::move(local), header, "mining"));
  ASSIGN_OR_RETURN(const at::Tensor positive_scores, PositiveScores(group, search, header.mining()));
  Chooser chooser(header.mining(), rules, positive_scores);
  for (int64_t first = 0; first < search.queries().size(0); first += options.queries_at_once) {
    const int64_t count = std::min(options.queries_at_once, search.queries().size(0) - first);
    ASSIGN_OR_RETURN(const TopDocuments best, search.Find(first, count, Needed(header, rules, first, count)));
    if (group.rank() == 0) chooser.Add(first, best);
  }
  RETURN_IF_ERROR(search.CheckScores(!at::isfinite(positive_scores).all().item<bool>()));
  Mined mined = chooser.Release();
  ASSIGN_OR_RETURN(const auto found, group.AllGatherBytes(mined.negatives.documents().empty() ? "" : "some"));
  if (found[0].empty()) {
    return absl::InvalidArgumentError(
        "mining: no query has a passage within mine.ranks that the margins allow. Widen mine.ranks, or relax the margins.");
  }
  return mined;
} catch (const std::exception& error) {
  return StatusFromException(absl::StatusCode::kInternal, "mining", error);
}

}  // namespace muster
