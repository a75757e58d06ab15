#include "worker/rank/model/attention_heads.h"

#include <c10/util/BFloat16.h>

#include <algorithm>
#include <cmath>

#include "worker/rank/model/attention_tiles.h"

namespace muster {
namespace {

// Queries per block: multiples of every tile's rows. In the forward pass the scores of a block stay in the first-level cache.
constexpr int64_t kBlock = 48, kForwardBlock = 24;
constexpr int64_t kKeysPerPanel = 2 * kLanes;  // forward, keys are packed in panels [d][kKeysPerPanel]
constexpr int64_t kStagger = kLanes;  // keeps rows that are powers of two long out of each other's cache sets

// Working memory of a task, in floats.
struct Work {
  Work(int64_t length, int64_t d)
      : padded(RoundUp(length, kLanes)), width(RoundUp(d, kLanes)), across(padded + kStagger) {}
  int64_t padded, width;  // the number of keys; the size of a head
  int64_t across;         // from one row of keys side by side to the next

  int64_t Transposed() const { return width * across; }
  int64_t Panels() const { return RoundUp(padded, kKeysPerPanel) * width; }
  int64_t Packed() const { return padded * width; }
  int64_t Tile() const { return kBlock * across; }
  int64_t Queries() const { return kBlock * width; }
  int64_t All() const {
    return Panels() + 2 * Transposed() + 3 * Packed() + 2 * Tile() + 3 * Queries() + Decisions::Room(padded) / 2 + kLanes;
  }
};

class Floor {
 public:
  explicit Floor(char* work) : next_(reinterpret_cast<float*>(work)) {}
  float* Take(int64_t count) {
    float* taken = next_;
    next_ += RoundUp(count, kLanes);
    return taken;
  }

 private:
  float* next_;
};

// Rows of one head in a tensor of float or bfloat16.
struct HeadRows {
  const void* data;
  bool bfloat16;
  int64_t first;   // element
  int64_t stride;  // from row to row
};

template <typename T>
MUSTER_INLINE void PackAs(const T* from, int64_t stride, int64_t rows, int64_t d, float scale, float* to) {
  const int64_t width = RoundUp(d, kLanes);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < d; ++i) to[r * width + i] = static_cast<float>(from[r * stride + i]) * scale;
    for (int64_t i = d; i < width; ++i) to[r * width + i] = 0;
  }
}
// Copies to float32, multiplied by `scale`, without gaps; each row is filled with zeros up to a whole vector.
MUSTER_VECTOR_CLONES
void Pack(const HeadRows& from, int64_t rows, int64_t d, float scale, float* to) {
  if (from.bfloat16) {
    PackAs(static_cast<const c10::BFloat16*>(from.data) + from.first, from.stride, rows, d, scale, to);
  } else {
    PackAs(static_cast<const float*>(from.data) + from.first, from.stride, rows, d, scale, to);
  }
}

template <typename T>
MUSTER_INLINE void UnpackAs(const float* from, int64_t rows, int64_t d, float scale, const float* scales, T* to,
                            int64_t stride) {
  const int64_t width = RoundUp(d, kLanes);
  for (int64_t r = 0; r < rows; ++r) {
    const float by = scales == nullptr ? scale : scales[r];
    for (int64_t i = 0; i < d; ++i) to[r * stride + i] = static_cast<T>(from[r * width + i] * by);
  }
}
// Copies back, times `scale`, or each row times its element of `scales` if that is not null.
MUSTER_VECTOR_CLONES
void Unpack(const float* from, int64_t rows, int64_t d, float scale, const float* scales, const HeadRows& to) {
  if (to.bfloat16) {
    UnpackAs(from, rows, d, scale, scales, static_cast<c10::BFloat16*>(const_cast<void*>(to.data)) + to.first,
             to.stride);
  } else {
    UnpackAs(from, rows, d, scale, scales, static_cast<float*>(const_cast<void*>(to.data)) + to.first, to.stride);
  }
}

// The rows of a task, starting at a token.
struct Places {
  const AttentionCall& call;
  const AttentionTask& task;
  int64_t width() const { return (call.heads + 2 * call.key_value_heads) * call.d; }
  HeadRows In(const void* qkv, int64_t head, int64_t token) const {
    return {qkv, call.bfloat16, (task.first_row + token) * width() + head * call.d, width()};
  }
  HeadRows Out(const void* out, int64_t head, int64_t token) const {
    return {out, call.bfloat16, ((task.first_row + token) * call.heads + head) * call.d, call.heads * call.d};
  }
  int64_t key_head() const { return call.heads + task.key_value_head; }
  int64_t value_head() const { return key_head() + call.key_value_heads; }
};

// The range of keys that any of the queries [first, last) sees.
MUSTER_INLINE void SeenBy(const AttentionCall& call, int64_t length, int64_t first, int64_t last, int64_t& begin,
                          int64_t& end) {
  begin = call.window > 0 ? std::max<int64_t>(0, first - call.window) : 0;
  end = call.window > 0 ? std::min(length, last + call.window) : length;
  if (call.causal) end = std::min(end, last);
}

// A block of queries of one head, and the keys that it sees, in whole vectors.
struct Block {
  const AttentionCall& call;
  const AttentionTask& task;
  int64_t head, first, last;
  int64_t first_key, vectors, keys;  // the first `keys` belong to the sequence

  Block(const AttentionCall& c, const AttentionTask& t, int64_t h, int64_t begin, int64_t block = kBlock)
      : call(c), task(t), head(h), first(begin), last(std::min(begin + block, t.length)) {
    int64_t seen_begin, seen_end;
    SeenBy(call, task.length, first, last, seen_begin, seen_end);
    first_key = seen_begin / kLanes * kLanes;
    vectors = (seen_end - first_key + kLanes - 1) / kLanes;
    keys = std::min(task.length, first_key + vectors * kLanes) - first_key;
  }
  int64_t queries() const { return last - first; }
  int64_t columns() const { return vectors * kLanes; }

  MUSTER_INLINE void Row(int64_t query, Decisions& decisions, ScoreRow& row) const {
    row.first_key = first_key;
    row.vectors = vectors;
    SeenBy(call, task.length, query, query + 1, row.seen_begin, row.seen_end);
    row.bias = call.bias == nullptr
                   ? nullptr
                   : call.bias + head * BiasWidth(call.longest) + (first_key - query + call.longest - 1);
    row.threshold = call.threshold;
    row.decisions = nullptr;
    if (call.threshold > 0) {
      const uint64_t element = (static_cast<uint64_t>(head) * task.length + query) * task.length + first_key;
      row.decisions = decisions.Of(element, keys);
    }
  }
};

// Keys [first, first + 16) of a task, times `scale`, as columns of their panel; zeros for those beyond the last. `scratch`:
// 16 rows.
MUSTER_INLINE void PackKeys(const HeadRows& from, int64_t first, int64_t length, int64_t d, float scale, float* scratch,
                            float* panels) {
  const int64_t width = RoundUp(d, kLanes);
  float* to = panels + first / kKeysPerPanel * kKeysPerPanel * width + first % kKeysPerPanel;
  if (!from.bfloat16 && d == width && first + kLanes <= length) {
    const float* keys = static_cast<const float*>(from.data) + from.first + first * from.stride;
    for (int64_t i = 0; i < width; i += kLanes) {
      TransposeBlock<true>(keys + i, from.stride, to + i * kKeysPerPanel, kKeysPerPanel, scale);
    }
    return;
  }
  HeadRows rows = from;
  rows.first += first * from.stride;
  const int64_t count = std::clamp<int64_t>(length - first, 0, kLanes);
  Pack(rows, count, d, scale, scratch);
  std::fill(scratch + count * width, scratch + kLanes * width, 0.0f);
  for (int64_t i = 0; i < width; i += kLanes) {
    TransposeBlock(scratch + i, width, to + i * kKeysPerPanel, kKeysPerPanel);
  }
}

// The scores of a block's queries and keys.
template <typename Registers>
MUSTER_INLINE void Score(const Block& block, const float* queries, int64_t width, const float* panels, float* scores,
                         int64_t across) {
  const int64_t d = block.call.d, end = block.first_key + block.columns();
  for (int64_t key = block.first_key; key < end;) {
    const int64_t within = key % kKeysPerPanel, count = std::min(kKeysPerPanel - within, end - key);
    Product<Registers, false>(block.queries(), count, d, {queries, width, 1},
                              panels + (key - within) * width + within, kKeysPerPanel, scores + (key - block.first_key),
                              across);
    key += count;
  }
}

// Starts to load rows [first, last) of the next head into the second-level cache: rows are far apart, so the processor does not
// prefetch them by itself.
MUSTER_INLINE void PrefetchNextHead(const Places& places, int64_t head, int64_t first, int64_t last) {
  const AttentionCall& call = places.call;
  const int64_t bytes = call.d * (call.bfloat16 ? 2 : 4);
  for (const int64_t of : {head + 1, places.key_head() + 1, places.value_head() + 1}) {
    const HeadRows rows = places.In(call.qkv, of, first);
    const char* row = static_cast<const char*>(rows.data) + rows.first * (call.bfloat16 ? 2 : 4);
    for (int64_t token = first; token < last; ++token, row += rows.stride * (call.bfloat16 ? 2 : 4)) {
      for (int64_t byte = 0; byte < bytes; byte += 64) __builtin_prefetch(row + byte, 0, 2);
    }
  }
}

template <typename Registers>
MUSTER_INLINE void ForwardHead(const AttentionCall& call, const AttentionTask& task, char* memory) {
  const Work work(task.length, call.d);
  const Places places{call, task};
  const int64_t d = call.d, width = work.width, sharing = call.heads / call.key_value_heads;
  Floor floor(memory);
  float* panels = floor.Take(work.Panels());
  float* values = floor.Take(work.Packed());
  float* scores = floor.Take(work.Tile());
  float* queries = floor.Take(work.Queries());
  float* outs = floor.Take(work.Queries());
  Decisions decisions(reinterpret_cast<uint16_t*>(floor.Take(Decisions::Room(work.padded) / 2 + kLanes)));
  decisions.Start(task.mask_key);

  const float scale = 1 / std::sqrt(static_cast<float>(d));
  for (int64_t key = 0; key < work.padded; key += kLanes) {
    PackKeys(places.In(call.qkv, places.key_head(), 0), key, task.length, d, scale, queries, panels);
  }
  Pack(places.In(call.qkv, places.value_head(), 0), task.length, d, 1, values);

  for (int64_t head = task.key_value_head * sharing; head < (task.key_value_head + 1) * sharing; ++head) {
    const bool prefetches = sharing == 1 && head + 1 < call.heads;
    for (int64_t first = 0; first < task.length; first += kForwardBlock) {
      const Block block(call, task, head, first, kForwardBlock);
      if (prefetches) PrefetchNextHead(places, head, block.first, block.last);
      Pack(places.In(call.qkv, head, first), block.queries(), d, 1, queries);
      Score<Registers>(block, queries, width, panels, scores, work.across);
      float factors[kForwardBlock];
      for (int64_t r = 0; r < block.queries(); ++r) {
        ScoreRow row;
        block.Row(first + r, decisions, row);
        float top, sum;
        SoftmaxRow(row, scores + r * work.across, top, sum);
        if (call.lse != nullptr) call.lse[head * call.rows + task.first_row + first + r] = top + std::log(sum);
        factors[r] = call.scale / sum;
      }
      Product<Registers, false>(block.queries(), width, block.keys, {scores, work.across, 1},
                                values + block.first_key * width, width, outs, width);
      Unpack(outs, block.queries(), d, 1, factors, places.Out(call.out, head, first));
    }
  }
}

template <typename Registers>
MUSTER_INLINE void BackwardHead(const AttentionCall& call, const AttentionTask& task, char* memory) {
  const Work work(task.length, call.d);
  const Places places{call, task};
  const int64_t d = call.d, width = work.width, sharing = call.heads / call.key_value_heads;
  const float scale = 1 / std::sqrt(static_cast<float>(d));
  Floor floor(memory);
  float* keys_across = floor.Take(work.Transposed());
  float* values_across = floor.Take(work.Transposed());
  float* keys = floor.Take(work.Packed());
  float* d_keys = floor.Take(work.Packed());
  float* d_values = floor.Take(work.Packed());
  float* scores = floor.Take(work.Tile());
  float* d_scores = floor.Take(work.Tile());
  float* queries = floor.Take(work.Queries());
  float* d_outs = floor.Take(work.Queries());
  float* results = floor.Take(work.Queries());
  Decisions decisions(reinterpret_cast<uint16_t*>(floor.Take(Decisions::Room(work.padded) / 2 + kLanes)));
  decisions.Start(task.mask_key);

  // Values are packed in the memory of `keys`, which is filled later.
  Pack(places.In(call.qkv, places.value_head(), 0), task.length, d, 1, keys);
  std::fill(keys + task.length * width, keys + work.padded * width, 0.0f);
  Transpose(keys, width, work.padded, width, values_across, work.across);
  Pack(places.In(call.qkv, places.key_head(), 0), task.length, d, scale, keys);
  Transpose(keys, width, work.padded, width, keys_across, work.across);
  std::fill_n(d_keys, work.padded * width, 0.0f);
  std::fill_n(d_values, work.padded * width, 0.0f);

  for (int64_t head = task.key_value_head * sharing; head < (task.key_value_head + 1) * sharing; ++head) {
    float* d_bias = task.d_bias == nullptr ? nullptr : task.d_bias + (head % sharing) * BiasWidth(task.length);
    for (int64_t first = 0; first < task.length; first += kBlock) {
      const Block block(call, task, head, first);
      Pack(places.In(call.qkv, head, first), block.queries(), d, 1, queries);
      Pack(places.Out(call.out, head, first), block.queries(), d, 1, results);
      Pack(places.Out(call.d_out, head, first), block.queries(), d, 1, d_outs);
      Product<Registers, false>(block.queries(), block.columns(), d, {queries, width, 1},
                                keys_across + block.first_key, work.across, scores, work.across);
      Product<Registers, false>(block.queries(), block.columns(), d, {d_outs, width, 1},
                                values_across + block.first_key, work.across, d_scores, work.across);
      for (int64_t r = 0; r < block.queries(); ++r) {
        ScoreRow score_row;
        block.Row(first + r, decisions, score_row);
        float* d_row = d_scores + r * work.across;
        const float delta = Dot(d_outs + r * width, results + r * width, width);
        SoftmaxBackwardRow(score_row, call.lse[head * call.rows + task.first_row + first + r], delta, call.scale,
                           scores + r * work.across, d_row);
        if (d_bias != nullptr) {
          float* to = d_bias + (block.first_key - (first + r) + task.length - 1);
          for (int64_t k = 0; k < block.keys; ++k) to[k] += d_row[k];
        }
      }
      Product<Registers, true>(block.keys, width, block.queries(), {scores, 1, work.across}, d_outs, width,
                               d_values + block.first_key * width, width);
      Product<Registers, true>(block.keys, width, block.queries(), {d_scores, 1, work.across}, queries, width,
                               d_keys + block.first_key * width, width);
      Product<Registers, false>(block.queries(), width, block.keys, {d_scores, work.across, 1},
                                keys + block.first_key * width, width, results, width);
      Unpack(results, block.queries(), d, 1, nullptr, places.In(call.d_qkv, head, first));
    }
  }
  Unpack(d_keys, task.length, d, scale, nullptr, places.In(call.d_qkv, places.key_head(), 0));
  Unpack(d_values, task.length, d, 1, nullptr, places.In(call.d_qkv, places.value_head(), 0));
}

using Head = void(const AttentionCall&, const AttentionTask&, char*);

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define MUSTER_FOR_PROCESSORS(name, body)                                                                       \
  __attribute__((target("arch=x86-64-v4"))) void name##V4(const AttentionCall& call, const AttentionTask& task, \
                                                          char* work) {                                         \
    body<Registers64>(call, task, work);                                                                        \
  }                                                                                                             \
  __attribute__((target("arch=x86-64-v3"))) void name##V3(const AttentionCall& call, const AttentionTask& task, \
                                                          char* work) {                                         \
    body<Registers32>(call, task, work);                                                                        \
  }                                                                                                             \
  void name##Any(const AttentionCall& call, const AttentionTask& task, char* work) {                            \
    body<Registers16>(call, task, work);                                                                        \
  }                                                                                                             \
  constexpr Head* name##s[] = {name##Any, name##V3, name##V4};
int Processor() {
  static const int processor = __builtin_cpu_supports("x86-64-v4") ? 2 : __builtin_cpu_supports("x86-64-v3") ? 1 : 0;
  return processor;
}
#else
#define MUSTER_FOR_PROCESSORS(name, body)                                            \
  void name##Any(const AttentionCall& call, const AttentionTask& task, char* work) { \
    body<Registers16>(call, task, work);                                             \
  }                                                                                  \
  constexpr Head* name##s[] = {name##Any};
int Processor() { return 0; }
#endif
MUSTER_FOR_PROCESSORS(Forward, ForwardHead)
MUSTER_FOR_PROCESSORS(Backward, BackwardHead)

}  // namespace

int64_t AttentionWorkBytes(int64_t length, int64_t d) {
  return (Work(length, d).All() + 16 * kLanes) * static_cast<int64_t>(sizeof(float));
}

void AttendHead(const AttentionCall& call, const AttentionTask& task, char* work) {
  Forwards[Processor()](call, task, work);
}
void AttendHeadBackward(const AttentionCall& call, const AttentionTask& task, char* work) {
  Backwards[Processor()](call, task, work);
}

}  // namespace muster
