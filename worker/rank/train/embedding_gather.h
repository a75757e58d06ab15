// The gather of all ranks' embeddings, started chunk by chunk while a rank still encodes.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/rank/collective/group.h"

namespace muster {

// The rows [first, last) that each rank sends in chunk `chunk` of `chunks`. It depends only on the counts, so all ranks agree,
// no matter how each cuts its sequences into micro-batches.
inline std::pair<int64_t, int64_t> RowsOfChunk(int64_t count, int64_t chunk, int64_t chunks) {
  return {count * chunk / chunks, count * (chunk + 1) / chunks};
}

// The number of chunks of a gather of this many bytes: one chunk for each kChunkBytes, at least one and at most kMostChunks.
int64_t GatherChunks(uint64_t bytes);
inline constexpr uint64_t kChunkBytes = uint64_t{8} << 20;
inline constexpr int64_t kMostChunks = 16;

// Not thread-safe. The result does not depend on the chunks.
class EmbeddingGather {
 public:
  // counts[r]: rows of rank r, each of `width` numbers.
  EmbeddingGather(Group& group, std::span<const int64_t> counts, int64_t width, const at::TensorOptions& options,
                  int64_t chunks);

  // The destination of this rank's embeddings, in the order of its micro-batches.
  const at::Tensor& own_rows() const { return own_; }
  // Call it when the first `rows` embeddings are written: starts each chunk that they complete.
  void Encoded(int64_t rows);
  // Starts the remaining chunks, and waits. Returns rank 0's rows, then rank 1's, …
  absl::StatusOr<at::Tensor> Finish();

 private:
  void StartChunk();

  Group& group_;
  const std::vector<int64_t> counts_;
  const int64_t chunks_;
  at::Tensor all_, own_;
  std::vector<int64_t> first_rows_;  // of each rank
  std::vector<std::unique_ptr<Pending>> started_;
};

}  // namespace muster
