// The embeddings of all texts that a rank's stream of an evaluation holds.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "worker/rank/evaluate/evaluator.h"

namespace muster {

// This rank's embeddings, in ascending order of number.
struct LocalEmbeddings {
  at::Tensor queries, query_numbers, documents, document_numbers;
  int64_t non_finite = 0;        // how many of them are not finite
  std::string first_non_finite;  // 'a query, which begins "[CLS] red fish"'
};

// Call it without gradients. On a CPU in float32 each thread encodes parts of the stream of its own; otherwise the calling
// thread encodes micro-batches as they come. INVALID_ARGUMENT: a part is malformed, or the stream has another number of
// texts than its header says.
absl::StatusOr<LocalEmbeddings> EncodeAll(const Encoder& encoder, EvaluationSource& source,
                                          const EvaluatorOptions& options);

}  // namespace muster
