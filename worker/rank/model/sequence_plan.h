// The positions of a packed batch's sequences, in runs of equal length, and their dropout keys.
#pragma once

#include <ATen/core/ivalue.h>

#include <cstdint>
#include <vector>

#include "worker/rank/device/upload.h"
#include "worker/rank/model/encoder.h"

namespace muster {

// Consecutive sequences of one length: rows [first_row, first_row + count * length) form a dense [count, length].
struct Run {
  int64_t first_row = 0;
  int64_t first_sequence = 0;
  int64_t count = 0;
  int64_t length = 0;
};

// Shared by the autograd nodes of one Encode.
struct SequencePlan : torch::CustomClassHolder {
  int64_t rows = 0;
  std::vector<Run> runs;
  std::vector<int64_t> first_rows, lengths;  // of each sequence
  std::vector<uint64_t> keys;                // of each sequence, from seed, step and slot
  int64_t longest = 0;                       // length of the longest sequence
  AttentionKeys attention_keys = AttentionKeys::kSequence;
  std::vector<int64_t> unpooled;             // per sequence, tokens at its beginning that pooling leaves out; may be empty
  at::Tensor positions;                      // int64 [rows], on the batch's device: of each token in its sequence
  // The same values as tensors for GPU kernels; undefined on the CPU. First rows, with `rows` at the end: [sequences + 1],
  // int64 and, for flash attention, int32; the bits of the keys, and `unpooled` where there are any: int64 [sequences].
  at::Tensor device_first_rows, device_first_rows_int32, device_keys, device_unpooled;
};
using SequencePlanPtr = c10::intrusive_ptr<SequencePlan>;

SequencePlanPtr MakeSequencePlan(const PackedBatch& batch, const Dropout& dropout);

}  // namespace muster
