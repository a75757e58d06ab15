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

// Each rank searches its own documents; rank 0 merges. All ranks make the same calls in the same order. Not thread-safe;
// the group outlives it.
class ExactSearch {
 public:
  // Gathers the embeddings of all queries. INVALID_ARGUMENT, alike on all ranks: an embedding is not finite, or a query is
  // encoded by no rank or by several. `what` begins the errors: "evaluation".
  static absl::StatusOr<ExactSearch> Create(Group& group, LocalEmbeddings local,
                                            const muster::internal::v1::EvaluationHeader& header, const std::string& what);

  const at::Tensor& queries() const { return queries_; }               // [queries, d], in order, on the model's device
  const at::Tensor& documents() const { return local_.documents; }     // of this rank
  const at::Tensor& numbers() const { return local_.document_numbers; }  // of them, on the CPU, ascending

  // The best k documents of queries first .. first + count - 1, equal scores in the order of document numbers. On rank 0
  // contiguous on the CPU (float, int64); undefined tensors elsewhere.
  absl::StatusOr<TopDocuments> Find(int64_t first, int64_t count, int64_t k);

  // Call it after the last Find. INVALID_ARGUMENT, alike on all ranks: a score was not finite. `also`: this rank has seen
  // one itself.
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
