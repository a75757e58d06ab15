// Online softmax. Source: Dao, "FlashAttention-2: faster attention with better parallelism and work partitioning", ICLR
// 2024: probabilities exist for one tile at a time, and the backward computes them again from the log of their sum. No
// atomics: a block owns the rows that it writes, so the gradient of queries and that of keys and values are two kernels.
#include "worker/rank/cuda/attention_kernels.h"

#include "worker/rank/cuda/attention_tiles.h"

namespace muster::cuda {
namespace {

constexpr float kInfinity = __builtin_huge_valf();

// blockIdx.z: the sequence.
struct Sequence {
  __device__ __forceinline__ explicit Sequence(const AttentionJob& job)
      : first_row(job.mask.first_rows[blockIdx.z]),
        length(job.mask.first_rows[blockIdx.z + 1] - first_row),
        sight{length, job.window, job.causal} {}
  __device__ __forceinline__ TileMask Mask(const AttentionJob& job, int64_t head) const {
    const uint32_t threshold = job.mask.threshold;
    const uint64_t own = threshold == 0 ? 0 : static_cast<uint64_t>(job.mask.keys[blockIdx.z]);
    return {MixKey(MixKey(own, job.mask.layer), job.mask.site), threshold, head, length};
  }
  // Head `head` of rows that have `heads` heads each.
  __device__ __forceinline__ HeadRows Part(const AttentionJob& job, const void* rows, int64_t heads, int64_t head) const {
    const int64_t width = heads * job.head_size;
    return {static_cast<const Bfloat*>(rows) + first_row * width + head * job.head_size, width, length};
  }
  // `rows`: job.qkv or job.d_qkv. A row has the heads of queries, then those of keys, then those of values.
  __device__ __forceinline__ HeadRows Queries(const AttentionJob& job, const void* rows, int64_t head) const {
    return Part(job, rows, job.heads + 2 * job.key_value_heads, head);
  }
  __device__ __forceinline__ HeadRows Keys(const AttentionJob& job, const void* rows, int64_t shared_head) const {
    return Queries(job, rows, job.heads + shared_head);
  }
  __device__ __forceinline__ HeadRows Values(const AttentionJob& job, const void* rows, int64_t shared_head) const {
    return Queries(job, rows, job.heads + job.key_value_heads + shared_head);
  }
  const int64_t first_row, length;
  const Sight sight;
};

// How many heads of queries share a head of keys and values.
__device__ __forceinline__ int64_t HeadsPerKey(const AttentionJob& job) { return job.heads / job.key_value_heads; }

// Stores rows [row, row + 16) of a warp, `values` times `factor[0]` (of row group) or `factor[1]` (of group + 8).
template <int D>
__device__ __forceinline__ void StoreRows(const float (&values)[D / 8][4], const float (&factor)[2], int64_t row,
                                          const HeadRows& to, const Lane& lane) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int64_t own = row + lane.group + half * 8;
    if (own >= to.length) continue;
    Bfloat* begin = const_cast<Bfloat*>(to.from) + own * to.width + lane.pair;
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
      *reinterpret_cast<uint32_t*>(begin + n * 8) =
          PackPair(values[n][2 * half] * factor[half], values[n][2 * half + 1] * factor[half]);
    }
  }
}

// blockIdx: 64 queries, the head, the sequence. A warp has 16 queries.
template <int D>
__global__ void __launch_bounds__(kTileThreads) AttentionForwardKernel(const AttentionJob job, float scale) {
  MUSTER_DYNAMIC_SHARED(Bfloat, tiles);
  MUSTER_SHARED(unsigned char, keep, kTile* kKeepBytes);
  Bfloat *q_tile = tiles, *k_tile = tiles + kTile * kStride<D>, *v_tile = k_tile + kTile * kStride<D>;
  const Sequence sequence(job);
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kTile, head = blockIdx.y;
  if (first >= sequence.length) return;
  const int64_t shared_head = head / HeadsPerKey(job);
  const HeadRows k = sequence.Keys(job, job.qkv, shared_head), v = sequence.Values(job, job.qkv, shared_head);
  const TileMask mask = sequence.Mask(job, head);
  const Lane lane;
  const int64_t row = first + lane.warp * 16 + lane.group;  // and row + 8
  LoadTile<D>(sequence.Queries(job, job.qkv, head), first, kTile, q_tile);
  float sums[D / 8][4] = {}, top[2] = {-kInfinity, -kInfinity}, total[2] = {0, 0};
  const int64_t end = sequence.sight.EndKey(first, kTile);
  for (int64_t key = sequence.sight.FirstKey(first); key < end; key += kTile) {
    __syncthreads();  // the previous tiles may be in use
    LoadTile<D>(k, key, kTile, k_tile);
    LoadTile<D>(v, key, kTile, v_tile);
    mask.Draw(first, kTile, key, keep);
    __syncthreads();
    float p[kTile / 8][4] = {};
    MultiplyAcross<D>(q_tile, lane.warp * 16, k_tile, lane, p);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int64_t own = row + half * 8;
      float largest = -kInfinity;
#pragma unroll
      for (int n = 0; n < kTile / 8; ++n) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          p[n][i] = sequence.sight.Sees(own, key + n * 8 + lane.pair + i % 2) ? p[n][i] * scale : -kInfinity;
          largest = p[n][i] > largest ? p[n][i] : largest;
        }
      }
      largest = OverRow(largest, true);
      const float next = largest > top[half] ? largest : top[half];
      const float reference = next == -kInfinity ? 0.0f : next;  // nothing is seen yet
      const float shrink = exp(top[half] - reference);
      const uint64_t kept = mask.Keep(first, lane.warp * 16 + lane.group + half * 8, key, keep);
      float sum = 0;
#pragma unroll
      for (int n = 0; n < kTile / 8; ++n) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          p[n][i] = exp(p[n][i] - reference);
          sum += p[n][i];
          if ((kept >> (n * 8 + lane.pair + i % 2) & 1) == 0) p[n][i] = 0;
        }
      }
      total[half] = total[half] * shrink + OverRow(sum, false);
      top[half] = next;
#pragma unroll
      for (int n = 0; n < D / 8; ++n) sums[n][2 * half] *= shrink, sums[n][2 * half + 1] *= shrink;
    }
    MultiplyDown<D>(p, v_tile, lane, sums);
  }
  const float of_mask = mask.threshold == 0 ? 1.0f : static_cast<float>(job.mask.scale);
  const float factor[2] = {of_mask / total[0], of_mask / total[1]};
  StoreRows<D>(sums, factor, first + lane.warp * 16, sequence.Part(job, job.out, job.heads, head), lane);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    if (lane.pair != 0 || row + half * 8 >= sequence.length) continue;
    job.lse[head * job.rows + sequence.first_row + row + half * 8] = top[half] + log(total[half]);
  }
}

// The gradient of a score: p * (mask * d_p - delta). `p` holds the product q k on entry, probabilities on return.
struct ScoreGradient {
  float scale, of_mask;
  __device__ __forceinline__ float Apply(bool seen, bool kept, float lse, float delta, float& p, float d_p) const {
    p = seen ? exp(p * scale - lse) : 0.0f;
    return p * ((kept ? d_p * of_mask : 0.0f) - delta);
  }
};

// The grid is the same as forward. Also stores delta: per query, the sum of out * d_out.
template <int D>
__global__ void __launch_bounds__(kTileThreads)
    AttentionQueryGradientKernel(const AttentionBackwardJob job, float scale) {
  MUSTER_DYNAMIC_SHARED(Bfloat, tiles);
  MUSTER_SHARED(unsigned char, keep, kTile* kKeepBytes);
  constexpr int kNumbers = kTile * kStride<D>;
  Bfloat *q_tile = tiles, *d_tile = tiles + kNumbers, *k_tile = d_tile + kNumbers, *v_tile = k_tile + kNumbers;
  const Sequence sequence(job);
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kTile, head = blockIdx.y;
  if (first >= sequence.length) return;
  const int64_t shared_head = head / HeadsPerKey(job);
  const HeadRows k = sequence.Keys(job, job.qkv, shared_head), v = sequence.Values(job, job.qkv, shared_head);
  const TileMask mask = sequence.Mask(job, head);
  const Lane lane;
  LoadTile<D>(sequence.Queries(job, job.qkv, head), first, kTile, q_tile);
  LoadTile<D>(sequence.Part(job, job.d_out, job.heads, head), first, kTile, d_tile);
  __syncthreads();
  const HeadRows out = sequence.Part(job, job.out, job.heads, head);
  float lse[2], delta[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int in_tile = lane.warp * 16 + lane.group + half * 8;
    const bool inside = first + in_tile < sequence.length;
    const int64_t place = head * job.rows + sequence.first_row + first + in_tile;
    float sum = 0;
    for (int column = lane.pair; inside && column < D; column += 8) {
      for (int i = 0; i < 2; ++i) {
        sum += static_cast<float>(d_tile[in_tile * kStride<D> + column + i]) *
               static_cast<float>(out.from[(first + in_tile) * out.width + column + i]);
      }
    }
    delta[half] = OverRow(sum, false);
    lse[half] = inside ? job.lse[place] : 0.0f;
    if (inside && lane.pair == 0) job.delta[place] = delta[half];
  }
  const ScoreGradient gradient{scale, mask.threshold == 0 ? 1.0f : static_cast<float>(job.mask.scale)};
  float sums[D / 8][4] = {};
  const int64_t end = sequence.sight.EndKey(first, kTile);
  for (int64_t key = sequence.sight.FirstKey(first); key < end; key += kTile) {
    __syncthreads();
    LoadTile<D>(k, key, kTile, k_tile);
    LoadTile<D>(v, key, kTile, v_tile);
    mask.Draw(first, kTile, key, keep);
    __syncthreads();
    float p[kTile / 8][4] = {}, d_p[kTile / 8][4] = {};
    MultiplyAcross<D>(q_tile, lane.warp * 16, k_tile, lane, p);
    MultiplyAcross<D>(d_tile, lane.warp * 16, v_tile, lane, d_p);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int in_tile = lane.warp * 16 + lane.group + half * 8;
      const uint64_t kept = mask.Keep(first, in_tile, key, keep);
#pragma unroll
      for (int n = 0; n < kTile / 8; ++n) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          const int column = n * 8 + lane.pair + i % 2;
          d_p[n][i] = gradient.Apply(sequence.sight.Sees(first + in_tile, key + column), kept >> column & 1, lse[half],
                                     delta[half], p[n][i], d_p[n][i]);
        }
      }
    }
    MultiplyDown<D>(d_p, k_tile, lane, sums);
  }
  const float factor[2] = {scale, scale};
  StoreRows<D>(sums, factor, first + lane.warp * 16, sequence.Queries(job, job.d_qkv, head), lane);
}

// How many queries the gradient of keys and values processes at a time: fewer for wide heads, whose sums fill the registers.
template <int D>
constexpr int kQueries = D > 64 ? 32 : 64;

// blockIdx: 64 keys, their head, the sequence. A warp has 16 keys; products are [keys, queries].
template <int D>
__global__ void __launch_bounds__(kTileThreads)
    AttentionKeyGradientKernel(const AttentionBackwardJob job, float scale) {
  MUSTER_DYNAMIC_SHARED(Bfloat, tiles);
  MUSTER_SHARED(unsigned char, keep, kTile* kKeepBytes);
  MUSTER_SHARED(float, lse, kTile);
  MUSTER_SHARED(float, delta, kTile);
  constexpr int kColumns = kQueries<D>;
  Bfloat *k_tile = tiles, *v_tile = tiles + kTile * kStride<D>, *q_tile = v_tile + kTile * kStride<D>;
  Bfloat* d_tile = q_tile + kColumns * kStride<D>;
  const Sequence sequence(job);
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kTile, shared_head = blockIdx.y;
  if (first >= sequence.length) return;
  LoadTile<D>(sequence.Keys(job, job.qkv, shared_head), first, kTile, k_tile);
  LoadTile<D>(sequence.Values(job, job.qkv, shared_head), first, kTile, v_tile);
  const Lane lane;
  const ScoreGradient gradient{scale, job.mask.threshold == 0 ? 1.0f : static_cast<float>(job.mask.scale)};
  float d_k[D / 8][4] = {}, d_v[D / 8][4] = {};
  const int64_t sharing = HeadsPerKey(job);
  for (int64_t head = shared_head * sharing; head < (shared_head + 1) * sharing; ++head) {
    const HeadRows q = sequence.Queries(job, job.qkv, head), d = sequence.Part(job, job.d_out, job.heads, head);
    const TileMask mask = sequence.Mask(job, head);
    const int64_t end = sequence.sight.EndQuery(first);
    for (int64_t query = sequence.sight.FirstQuery(first, kColumns); query < end; query += kColumns) {
      __syncthreads();
      LoadTile<D>(q, query, kColumns, q_tile);
      LoadTile<D>(d, query, kColumns, d_tile);
      mask.Draw(query, kColumns, first, keep);
      if (static_cast<int>(threadIdx.x) < kColumns) {
        const bool inside = query + threadIdx.x < sequence.length;
        const int64_t place = head * job.rows + sequence.first_row + query + threadIdx.x;
        lse[threadIdx.x] = inside ? job.lse[place] : 0.0f;
        delta[threadIdx.x] = inside ? job.delta[place] : 0.0f;
      }
      __syncthreads();
      float p[kColumns / 8][4] = {}, d_p[kColumns / 8][4] = {};
      MultiplyAcross<D>(k_tile, lane.warp * 16, q_tile, lane, p);
      MultiplyAcross<D>(v_tile, lane.warp * 16, d_tile, lane, d_p);
#pragma unroll
      for (int n = 0; n < kColumns / 8; ++n) {
#pragma unroll
        for (int column = 0; column < 2; ++column) {
          const int in_tile = n * 8 + lane.pair + column;
          const uint64_t kept = mask.Keep(query, in_tile, first, keep);
#pragma unroll
          for (int half = 0; half < 2; ++half) {
            const int key = lane.warp * 16 + lane.group + half * 8, i = 2 * half + column;
            const bool own = kept >> key & 1;
            d_p[n][i] = gradient.Apply(sequence.sight.Sees(query + in_tile, first + key), own, lse[in_tile],
                                       delta[in_tile], p[n][i], d_p[n][i]);
            if (!own) p[n][i] = 0;
          }
        }
      }
      MultiplyDown<D>(p, d_tile, lane, d_v);
      MultiplyDown<D>(d_p, q_tile, lane, d_k);
    }
  }
  const float of_keys[2] = {scale, scale}, of_values[2] = {gradient.of_mask, gradient.of_mask};
  const int64_t row = first + lane.warp * 16;
  StoreRows<D>(d_k, of_keys, row, sequence.Keys(job, job.d_qkv, shared_head), lane);
  StoreRows<D>(d_v, of_values, row, sequence.Values(job, job.d_qkv, shared_head), lane);
}

template <int D>
constexpr size_t TileBytes(int rows) {
  return static_cast<size_t>(rows) * kStride<D> * sizeof(Bfloat);
}

dim3 GridOf(const AttentionJob& job, int64_t heads) {
  return dim3(static_cast<unsigned>((job.longest + kTile - 1) / kTile), static_cast<unsigned>(heads),
              static_cast<unsigned>(job.mask.sequences));
}

float ScaleOf(const AttentionJob& job) { return static_cast<float>(1 / sqrt(static_cast<double>(job.head_size))); }

template <int D>
int Forward(const AttentionJob& job, cudaStream_t stream) {
  return Launch(AttentionForwardKernel<D>, GridOf(job, job.heads), kTileThreads, TileBytes<D>(3 * kTile), stream, job,
                ScaleOf(job));
}

template <int D>
int Backward(const AttentionBackwardJob& job, cudaStream_t stream) {
  const cudaError_t error = Launch(AttentionQueryGradientKernel<D>, GridOf(job, job.heads), kTileThreads,
                                   TileBytes<D>(4 * kTile), stream, job, ScaleOf(job));
  if (error != cudaSuccess) return error;
  return Launch(AttentionKeyGradientKernel<D>, GridOf(job, job.key_value_heads), kTileThreads,
                TileBytes<D>(2 * kTile + 2 * kQueries<D>), stream, job, ScaleOf(job));
}

bool Fits(const AttentionJob& job) {
  return HasAttentionKernel(job.head_size) && job.heads <= kMostAttentionHeads &&
         job.mask.sequences <= kMostAttentionSequences && job.heads % job.key_value_heads == 0;
}

}  // namespace

int AttentionForward(const AttentionJob& job, void* stream) {
  if (!Fits(job)) return cudaErrorInvalidValue;
  if (job.rows == 0) return cudaSuccess;
  const auto on = static_cast<cudaStream_t>(stream);
  return job.head_size == 32   ? Forward<32>(job, on)
         : job.head_size == 64 ? Forward<64>(job, on)
                               : Forward<128>(job, on);
}

int AttentionBackward(const AttentionBackwardJob& job, void* stream) {
  if (!Fits(job)) return cudaErrorInvalidValue;
  if (job.rows == 0) return cudaSuccess;
  const auto on = static_cast<cudaStream_t>(stream);
  return job.head_size == 32   ? Backward<32>(job, on)
         : job.head_size == 64 ? Backward<64>(job, on)
                               : Backward<128>(job, on);
}

}  // namespace muster::cuda
