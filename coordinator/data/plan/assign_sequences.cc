#include "coordinator/data/plan/assign_sequences.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace muster {
namespace {

// Slots in ascending order of length, those of one length in ascending order.
struct SlotsByLength {
  std::vector<uint32_t> slots;
  std::vector<uint32_t> ends;  // slots[ends[i-1], ends[i]) have length i
};

// A counting sort: an evaluation has millions of sequences and some hundred lengths.
SlotsByLength SortByLength(std::vector<Sequence> sequences) {
  if (!std::ranges::is_sorted(sequences, {}, &Sequence::slot)) std::ranges::sort(sequences, {}, &Sequence::slot);
  uint32_t longest = 0;
  for (const Sequence& sequence : sequences) longest = std::max(longest, sequence.length);
  SlotsByLength sorted;
  sorted.ends.resize(size_t{longest} + 1);
  for (const Sequence& sequence : sequences) ++sorted.ends[sequence.length];
  uint32_t begin = 0;
  for (uint32_t& end : sorted.ends) begin = std::exchange(end, begin) + begin;  // for now, where each length begins
  sorted.slots.resize(sequences.size());
  for (const Sequence& sequence : sequences) sorted.slots[sorted.ends[sequence.length]++] = sequence.slot;
  return sorted;
}

// Assigns items one by one, each to the rank with the least work; among equal ranks, to the lowest.
class LeastWork {
 public:
  explicit LeastWork(uint32_t world_size) {
    for (uint32_t rank = 0; rank < world_size; ++rank) loads_.push_back({0, rank});
  }

  // Calls take(rank) once for each of `count` items of the same cost.
  template <typename Take>
  void Deal(uint32_t count, double cost, const Take& take) {
    const auto ranks = static_cast<uint32_t>(loads_.size());
    for (; count >= ranks; count -= ranks) {
      Sort();
      // As long as no rank is ahead of another by a whole item, each takes one before any takes a second.
      if (loads_.front().first + cost > loads_.back().first) {
        for (Load& load : loads_) {
          take(load.second);
          load.first += cost;
        }
        Sort();
      } else {
        DealOneByOne(ranks, cost, take);
      }
    }
    DealOneByOne(count, cost, take);
  }

  template <typename Take>
  void ForEach(const Take& take) const {
    for (const auto& [cost, rank] : loads_) take(rank, cost);
  }

 private:
  using Load = std::pair<double, uint32_t>;  // cost, rank

  void Sort() {
    if (!std::ranges::is_sorted(loads_)) std::ranges::sort(loads_);
  }
  template <typename Take>
  void DealOneByOne(uint32_t count, double cost, const Take& take) {
    for (; count > 0; --count) {
      std::ranges::pop_heap(loads_, std::greater<>());
      take(loads_.back().second);
      loads_.back().first += cost;
      std::ranges::push_heap(loads_, std::greater<>());
    }
  }

  std::vector<Load> loads_;  // a min-heap; a list sorted in ascending order also is one
};

}  // namespace

double EncodingCost(uint32_t length) {
  constexpr double kAttention = 1.0 / (6 * 384);
  return length * (1 + kAttention * length);
}

std::vector<RankLoad> AssignSequences(std::vector<Sequence> sequences, uint32_t world_size, uint32_t micro_batch_tokens) {
  const SlotsByLength sorted = SortByLength(std::move(sequences));
  std::vector<uint32_t> owners(sorted.slots.size());
  std::vector<uint32_t> counts(world_size);
  LeastWork least(world_size);
  auto owner = owners.rbegin();  // the longest first
  for (auto length = static_cast<uint32_t>(sorted.ends.size()); length-- > 0;) {
    const uint32_t begin = length == 0 ? 0 : sorted.ends[length - 1];
    least.Deal(sorted.ends[length] - begin, EncodingCost(length), [&](uint32_t rank) {
      *owner++ = rank;
      ++counts[rank];
    });
  }
  std::vector<RankLoad> ranks(world_size);
  least.ForEach([&](uint32_t rank, double cost) { ranks[rank].cost = cost; });
  for (uint32_t rank = 0; rank < world_size; ++rank) ranks[rank].slots.reserve(counts[rank]);
  std::vector<uint64_t> tokens(world_size);  // in the last micro-batch of each rank
  for (uint32_t length = 0, i = 0; length < sorted.ends.size(); ++length) {
    for (; i < sorted.ends[length]; ++i) {
      const uint32_t rank = owners[i];
      RankLoad& load = ranks[rank];
      if (tokens[rank] > 0 && tokens[rank] + length > micro_batch_tokens) {
        load.micro_batch_ends.push_back(static_cast<uint32_t>(load.slots.size()));
        tokens[rank] = 0;
      }
      load.slots.push_back(sorted.slots[i]);
      tokens[rank] += length;
    }
  }
  for (RankLoad& load : ranks) {
    if (!load.slots.empty()) load.micro_batch_ends.push_back(static_cast<uint32_t>(load.slots.size()));
  }
  return ranks;
}

}  // namespace muster
