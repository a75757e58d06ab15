// Assigns sequences to ranks so that each has the same work, and cuts a rank's sequences into micro-batches.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace muster {

struct Sequence {
  uint32_t slot = 0;
  uint32_t length = 0;  // tokens, above 0
};

// Estimated work of encoding a sequence, in tokens' worth of linear layers. A layer does 24 h² operations per token in
// its linear maps and 4 h L in attention (h hidden size, L length), so attention weighs L / (6 h). h is 384 for every
// model: another value would change the bytes of running jobs, and gain only about 1 % (docs/decisions/0041).
double EncodingCost(uint32_t length);

// One rank's sequences in ascending order of length (then slot), cut into micro-batches.
struct RankLoad {
  std::vector<uint32_t> slots;
  std::vector<uint32_t> micro_batch_ends;  // micro-batch i is slots [ends[i-1], ends[i])
  double cost = 0;

  std::span<const uint32_t> MicroBatch(size_t i) const {
    const uint32_t begin = i == 0 ? 0 : micro_batch_ends[i - 1];
    return std::span(slots).subspan(begin, micro_batch_ends[i] - begin);
  }
};

// Longest processing time first: each sequence, from the longest down, goes to the rank with the least work so far.
// Deterministic. Every rank gets work if there are `world_size` sequences. A micro-batch holds at most
// `micro_batch_tokens` tokens, except that a longer sequence is alone in one.
// Source: Graham, "Bounds on multiprocessing timing anomalies", 1969.
std::vector<RankLoad> AssignSequences(std::vector<Sequence> sequences, uint32_t world_size, uint32_t micro_batch_tokens);

// The near-equal range of `total` items that belongs to `rank`: [first, second).
constexpr std::pair<uint32_t, uint32_t> EqualRange(uint32_t total, uint32_t rank, uint32_t world_size) {
  return {static_cast<uint32_t>(uint64_t{total} * rank / world_size),
          static_cast<uint32_t>(uint64_t{total} * (rank + 1) / world_size)};
}

}  // namespace muster
