// Attention of a whole packed batch with dropout by sequence, on tensor cores: the definition of
// worker/rank/model/attention_ops.h for bfloat16, without a bias of distances. No torch header.
#pragma once

#include <cstdint>

#include "worker/rank/cuda/row_types.h"

namespace muster::cuda {

// The head sizes that have kernels.
constexpr bool HasAttentionKernel(int64_t head_size) { return head_size == 32 || head_size == 64 || head_size == 128; }

constexpr int64_t kMostAttentionHeads = 65535, kMostAttentionSequences = 65535;  // dimensions of a grid

struct AttentionJob {
  int64_t rows = 0, longest = 0;  // of the batch; of its longest sequence
  int64_t heads = 1, key_value_heads = 1, head_size = 64;
  bool causal = false;
  int64_t window = 0;
  // `first_rows` is needed even without dropout; `keys` may then be null. `site` is the one of probabilities.
  RowsMask mask;
  const void* qkv = nullptr;  // bfloat16 [rows, (heads + 2 key_value_heads) * head_size], aligned to 16 bytes
  void* out = nullptr;        // bfloat16 [rows, heads * head_size]; an input of the backward
  float* lse = nullptr;       // [heads, rows]; an input of the backward
};

struct AttentionBackwardJob : AttentionJob {
  const void* d_out = nullptr;  // like out
  void* d_qkv = nullptr;        // like qkv
  float* delta = nullptr;       // scratch memory [heads, rows]
};

// Forward is one launch, backward two. Both run on `stream` (a cudaStream_t) and return a cudaError_t.
int AttentionForward(const AttentionJob& job, void* stream);
int AttentionBackward(const AttentionBackwardJob& job, void* stream);

}  // namespace muster::cuda
