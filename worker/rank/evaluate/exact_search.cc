#include "worker/rank/evaluate/exact_search.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/sort.h>

#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace muster {
namespace {

using muster::internal::v1::EvaluationHeader;

// The same on all ranks. A NaN compares as false with everything, so it would give an arbitrary ranking.
absl::Status CheckFinite(Group& group, const LocalEmbeddings& local, const EvaluationHeader& header, const std::string& what) {
  ASSIGN_OR_RETURN(const auto counts, group.AllGatherBytes(absl::StrCat(local.non_finite)));
  ASSIGN_OR_RETURN(const auto totals, group.AllGatherBytes(absl::StrCat(header.own_sequences())));
  ASSIGN_OR_RETURN(const auto texts, group.AllGatherBytes(local.first_non_finite));
  int64_t count = 0, total = 0;
  std::string first;
  for (size_t r = 0; r < counts.size(); ++r) {
    count += std::stoll(counts[r]);
    total += std::stoll(totals[r]);
    if (first.empty()) first = texts[r];
  }
  if (count == 0) return absl::OkStatus();
  if (count == total) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": no embedding is finite, so the model's weights are not. Use another model."));
  }
  return absl::InvalidArgumentError(absl::StrCat(what, ": the embedding of ", first, ", is not finite (", count, " of ", total,
                                                 " are not). Look at its text, or at the model."));
}

absl::StatusOr<std::vector<int64_t>> GatherCounts(Group& group, int64_t local) {
  ASSIGN_OR_RETURN(const auto texts, group.AllGatherBytes(absl::StrCat(local)));
  std::vector<int64_t> counts;
  for (const std::string& text : texts) counts.push_back(std::stoll(text));
  return counts;
}

// All query embeddings on every rank, in order.
absl::StatusOr<at::Tensor> GatherQueries(Group& group, const LocalEmbeddings& local, int64_t query_count,
                                         const std::string& what) {
  ASSIGN_OR_RETURN(const auto counts, GatherCounts(group, local.queries.size(0)));
  ASSIGN_OR_RETURN(const at::Tensor rows, group.AllGatherRows(local.queries, counts));
  ASSIGN_OR_RETURN(const at::Tensor numbers,
                   group.AllGatherRows(local.query_numbers.to(local.queries.device()), counts));
  if (rows.size(0) != query_count || !std::get<0>(at::sort(numbers)).equal(at::arange(query_count, numbers.options()))) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": a query was encoded by no rank, or by several"));
  }
  return at::empty_like(rows).index_copy_(0, numbers, rows);
}

}  // namespace

ExactSearch::ExactSearch(Group& group, LocalEmbeddings local, at::Tensor queries, std::string what)
    : group_(group),
      local_(std::move(local)),
      queries_(std::move(queries)),
      device_numbers_(local_.document_numbers.to(queries_.device())),
      what_(std::move(what)) {}

absl::StatusOr<ExactSearch> ExactSearch::Create(Group& group, LocalEmbeddings local, const EvaluationHeader& header,
                                                const std::string& what) {
  RETURN_IF_ERROR(CheckFinite(group, local, header, what));
  ASSIGN_OR_RETURN(at::Tensor queries, GatherQueries(group, local, header.query_count(), what));
  return ExactSearch(group, std::move(local), std::move(queries), what);
}

absl::StatusOr<TopDocuments> ExactSearch::Find(int64_t first, int64_t count, int64_t k) {
  const TopDocuments top = FindTopDocuments(queries_.narrow(0, first, count), local_.documents, device_numbers_, k);
  overflow_ |= at::isfinite(top.scores).logical_or(top.numbers < 0).logical_not().any().item<bool>();
  const std::vector<int64_t> counts(group_.world_size(), count);
  ASSIGN_OR_RETURN(const at::Tensor scores, group_.AllGatherRows(top.scores, counts));
  ASSIGN_OR_RETURN(const at::Tensor documents, group_.AllGatherRows(top.numbers, counts));
  if (group_.rank() != 0) return TopDocuments();
  TopDocuments best = top;
  for (int64_t r = 1; r < group_.world_size(); ++r) {
    best = MergeTopDocuments(best, {scores.narrow(0, r * count, count), documents.narrow(0, r * count, count)}, k);
  }
  return TopDocuments{best.scores.to(at::kCPU, at::kFloat).contiguous(), best.numbers.to(at::kCPU).contiguous()};
}

absl::Status ExactSearch::CheckScores(bool also) {
  ASSIGN_OR_RETURN(const auto overflows, group_.AllGatherBytes(overflow_ || also ? "overflow" : ""));
  for (const std::string& one : overflows) {
    if (one.empty()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(what_, ": a score is not finite: embeddings are too long to compare. Set model.normalize: true."));
  }
  return absl::OkStatus();
}

}  // namespace muster
