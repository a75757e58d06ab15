// For benchmarks: a batch of token ids as the planner would send it to the ranks.
#pragma once

#include <cstdint>
#include <vector>

#include "muster/internal/v1/data_plane.pb.h"

namespace muster {

struct TokenBatch {
  std::vector<std::vector<uint32_t>> queries, passages;  // ids
  std::vector<std::vector<uint32_t>> positives;          // per query: passages
};

// Random texts with ids below `vocabulary`; each query has one positive. Lengths spread evenly over half to one and a half
// times the mean.
TokenBatch RandomTokenBatch(uint32_t queries, uint32_t mean_length, uint32_t vocabulary);

// Assigns the batch to ranks and cuts it into micro-batches like the planner; returns one share per rank.
std::vector<muster::internal::v1::StepShare> SharesOf(const TokenBatch& batch, uint32_t world_size,
                                                      uint32_t micro_batch_tokens);

}  // namespace muster
