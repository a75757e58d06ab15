// Computes the embeddings of all texts in a rank's stream of an evaluation.
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
  int64_t non_finite = 0;        // how many of the embeddings are not finite
  std::string first_non_finite;  // 'a query, which begins "[CLS] red fish"'
};

// Call it with gradients disabled. On a CPU in float32 each thread encodes different parts of the stream; otherwise the calling
// thread encodes one micro-batch after another. INVALID_ARGUMENT: a part is malformed, or the number of texts differs from the
// stream's header.
absl::StatusOr<LocalEmbeddings> EncodeAll(const Encoder& encoder, EvaluationSource& source,
                                          const EvaluatorOptions& options);

}  // namespace muster
