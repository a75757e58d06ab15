// Exact search over the documents of all ranks.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "muster/internal/v1/data_plane.pb.h"
#include "worker/rank/collective/group.h"
#include "worker/rank/evaluate/encode_all.h"
#include "worker/rank/evaluate/top_documents.h"

namespace muster {

// Each rank searches its own documents; rank 0 merges the results. All ranks must make the same calls in the same order. Not
// thread-safe. The group must outlive it.
class ExactSearch {
 public:
  // Gathers the embeddings of all queries. INVALID_ARGUMENT, the same on all ranks: an embedding is not finite, or a query was
  // encoded by no rank or by several. Error messages begin with `what`, such as "evaluation".
  static absl::StatusOr<ExactSearch> Create(Group& group, LocalEmbeddings local,
                                            const muster::internal::v1::EvaluationHeader& header, const std::string& what);

  const at::Tensor& queries() const { return queries_; }               // [queries, d], in order, on the model's device
  const at::Tensor& documents() const { return local_.documents; }     // this rank's embeddings of documents
  const at::Tensor& numbers() const { return local_.document_numbers; }  // the numbers of `documents`, on the CPU, ascending

  // The best k documents of each of the queries first .. first + count - 1; equal scores are ordered by document number. Rank 0
  // gets contiguous tensors on the CPU (float, int64), the other ranks undefined ones.
  absl::StatusOr<TopDocuments> Find(int64_t first, int64_t count, int64_t k);

  // Call it after the last Find. INVALID_ARGUMENT, the same on all ranks, if any rank's Find computed a score that is not
  // finite, or if any rank passes `also` because its caller has computed one.
  absl::Status CheckScores(bool also = false);

 private:
  ExactSearch(Group& group, LocalEmbeddings local, at::Tensor queries, std::string what);

  Group& group_;
  LocalEmbeddings local_;
  at::Tensor queries_, device_numbers_;
  std::string what_;
  bool overflow_ = false;
};

}  // namespace muster
