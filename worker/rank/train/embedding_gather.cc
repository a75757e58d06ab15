#include "worker/rank/train/embedding_gather.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "common/status.h"

namespace muster {

int64_t GatherChunks(uint64_t bytes) {
  return std::clamp<int64_t>(static_cast<int64_t>(bytes / kChunkBytes), 1, kMostChunks);
}

EmbeddingGather::EmbeddingGather(Group& group, std::span<const int64_t> counts, int64_t width,
                                 const at::TensorOptions& options, int64_t chunks)
    : group_(group), counts_(counts.begin(), counts.end()), chunks_(chunks) {
  int64_t total = 0;
  for (const int64_t count : counts_) {
    first_rows_.push_back(total);
    total += count;
  }
  all_ = at::empty({total, width}, options);
  own_ = all_.narrow(0, first_rows_[group.rank()], counts_[group.rank()]);
}

void EmbeddingGather::StartChunk() {
  std::vector<at::Tensor> pieces;
  for (size_t r = 0; r < counts_.size(); ++r) {
    const auto [first, last] = RowsOfChunk(counts_[r], static_cast<int64_t>(started_.size()), chunks_);
    pieces.push_back(all_.narrow(0, first_rows_[r] + first, last - first));
  }
  started_.push_back(group_.StartAllGather(std::move(pieces)));
}

void EmbeddingGather::Encoded(int64_t rows) {
  const at::NoGradGuard no_gradient;
  while (static_cast<int64_t>(started_.size()) < chunks_ &&
         RowsOfChunk(counts_[group_.rank()], static_cast<int64_t>(started_.size()), chunks_).second <= rows) {
    StartChunk();
  }
}

absl::StatusOr<at::Tensor> EmbeddingGather::Finish() {
  Encoded(counts_[group_.rank()]);
  for (const auto& chunk : started_) RETURN_IF_ERROR(chunk->Wait());
  started_.clear();  // they hold references to the rows
  own_.reset();
  return std::move(all_);
}

}  // namespace muster
