#include "coordinator/data/plan/assign_sequences.h"

#include <algorithm>
#include <functional>
#include <queue>

namespace muster {

double EncodingCost(uint32_t length) {
  constexpr double kAttention = 1.0 / (6 * 384);
  return length * (1 + kAttention * length);
}

std::vector<RankLoad> AssignSequences(std::vector<Sequence> sequences, uint32_t world_size, uint32_t micro_batch_tokens) {
  std::ranges::sort(sequences, {}, [](const Sequence& s) { return uint64_t{s.length} << 32 | s.slot; });
  std::vector<std::vector<Sequence>> assigned(world_size);
  std::vector<RankLoad> ranks(world_size);
  using Load = std::pair<double, uint32_t>;  // cost, rank
  std::priority_queue<Load, std::vector<Load>, std::greater<>> least;
  for (uint32_t rank = 0; rank < world_size; ++rank) least.emplace(0.0, rank);
  for (auto sequence = sequences.rbegin(); sequence != sequences.rend(); ++sequence) {
    const auto [cost, rank] = least.top();
    least.pop();
    assigned[rank].push_back(*sequence);
    least.emplace(cost + EncodingCost(sequence->length), rank);
  }
  for (; !least.empty(); least.pop()) ranks[least.top().second].cost = least.top().first;
  for (uint32_t rank = 0; rank < world_size; ++rank) {
    RankLoad& load = ranks[rank];
    load.slots.reserve(assigned[rank].size());
    uint64_t tokens = 0;
    for (auto sequence = assigned[rank].rbegin(); sequence != assigned[rank].rend(); ++sequence) {
      if (tokens > 0 && tokens + sequence->length > micro_batch_tokens) {
        load.micro_batch_ends.push_back(static_cast<uint32_t>(load.slots.size()));
        tokens = 0;
      }
      load.slots.push_back(sequence->slot);
      tokens += sequence->length;
    }
    if (tokens > 0) load.micro_batch_ends.push_back(static_cast<uint32_t>(load.slots.size()));
  }
  return ranks;
}

}  // namespace muster
