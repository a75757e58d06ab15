// Attention of one sequence and one head of keys and values on the CPU, with the heads of queries that share it, in float32
// from tensors of float32 or bfloat16. The caller distributes these tasks over threads.
#pragma once

#include <cstdint>

namespace muster {

// The values that all tasks of a call share. Pointers to rows are to row 0 of the batch, of c10::BFloat16 or float.
struct AttentionCall {
  bool bfloat16;
  int64_t rows, heads, key_value_heads, d;
  bool causal;
  int64_t window, longest;
  uint32_t threshold;  // of dropout; 0: none
  float scale;         // of what is kept
  const float* bias;   // [heads, BiasWidth(longest)], by key - query + longest - 1; null: none
  const void* qkv;
  void* out;
  float* lse;  // [heads, rows]; null: not computed
  // Only for the backward.
  const void* d_out;
  void* d_qkv;
};

// The width of a bias with 16 extra elements, so that a whole vector can be read at the last position.
constexpr int64_t BiasWidth(int64_t longest) { return 2 * longest - 1 + 16; }

struct AttentionTask {
  int64_t first_row, length, key_value_head;
  uint64_t mask_key;  // of the sequence and layer
  float* d_bias;      // [heads / key_value_heads, BiasWidth(length)], by key - query + length - 1; null: none
};

// Bytes of working memory, aligned to 64, that any task of up to `length` tokens needs.
int64_t AttentionWorkBytes(int64_t length, int64_t d);

// Writes out and lse, or d_qkv and d_bias, of the task's rows and heads.
void AttendHead(const AttentionCall& call, const AttentionTask& task, char* work);
void AttendHeadBackward(const AttentionCall& call, const AttentionTask& task, char* work);

}  // namespace muster
