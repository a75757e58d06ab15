// The order of an epoch: its queries, with their repeats. It is a pure function of (seed, epoch), and each position can be
// computed alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace muster {

// The draws of one training set. A weight of 2.5 draws each query twice per epoch, and half of them a third time. That half
// moves on: it is a window of a fixed shuffle of the set that advances by its own width each epoch and wraps around. So over
// the epochs all queries are drawn equally often, except for a difference of one.
//
// Example: 4 queries, weight 0.5. Epoch 0 has two of them, epoch 1 the other two, epoch 2 those of epoch 0.
class SetDraws {
 public:
  // `key` decides the shuffle.
  SetDraws(uint64_t queries, double weight, uint64_t key);

  struct Draw {
    uint64_t query;  // below the number of queries
    uint64_t turn;   // how often the job drew this query before; with weight 1, the epoch
  };
  uint64_t whole() const { return whole_; }
  uint64_t per_epoch() const { return whole_ * queries_ + extra_; }
  // The draw at `place` < per_epoch(). Not shuffled: the first whole() * queries places draw every query whole() times.
  Draw At(uint64_t epoch, uint64_t place) const;

 private:
  uint64_t queries_, key_;
  uint64_t whole_;  // how often an epoch has every query
  uint64_t extra_;  // queries that it has once more
};

// Cuts an epoch's draws into steps. Mixed: one shuffle of all draws of all sets; the epoch's last step takes the remaining
// ones. Homogeneous: a shuffle of the steps of all sets, so that a set's share of the steps does not change over the epoch.
// Each set has a shuffle for its own steps, of which one takes the remaining draws.
class EpochOrder {
 public:
  // `draws`: per epoch, one per set, not all 0. `batch`: queries per step.
  EpochOrder(std::vector<uint64_t> draws, uint64_t batch, bool homogeneous, uint64_t seed);

  uint64_t steps() const { return steps_; }
  struct Place {
    size_t set;
    uint64_t draw;  // below the set's draws per epoch
  };
  struct Step {
    uint64_t epoch = 0;
    bool epoch_end = false;
    std::vector<Place> rows;
  };
  // `step` counts on over the epochs.
  Step At(uint64_t step) const;

 private:
  std::vector<Place> MixedRows(uint64_t epoch, uint64_t step) const;
  std::vector<Place> HomogeneousRows(uint64_t epoch, uint64_t step) const;

  std::vector<uint64_t> draws_, first_;  // first_: the draws, or the steps, of the sets before this one
  uint64_t batch_, seed_, total_ = 0, steps_ = 0;
  bool homogeneous_;
};

// The last step takes the remaining draws.
constexpr uint64_t StepsPerEpoch(uint64_t draws, uint64_t batch) { return (draws + batch - 1) / batch; }

}  // namespace muster
