#include "coordinator/data/plan/epoch_order.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "coordinator/data/plan/keys.h"
#include "coordinator/data/plan/permutation.h"

namespace muster {

SetDraws::SetDraws(uint64_t queries, double weight, uint64_t key)
    : queries_(queries), key_(key), whole_(static_cast<uint64_t>(weight)),
      extra_(static_cast<uint64_t>(std::llround((weight - std::floor(weight)) * static_cast<double>(queries)))) {}

SetDraws::Draw SetDraws::At(uint64_t epoch, uint64_t place) const {
  const uint64_t round = place / queries_;  // whole_: of the queries that are drawn once more
  if (extra_ == 0) return {place % queries_, epoch * whole_ + round};
  const uint64_t drawn = epoch * extra_;  // by the windows of earlier epochs
  const uint64_t shuffled = (round == whole_ ? drawn + place : place) % queries_;
  const uint64_t extra_turns = (drawn + queries_ - 1 - shuffled) / queries_;
  return {KeyedPermutation(queries_, key_)(shuffled), epoch * whole_ + round + extra_turns};
}

EpochOrder::EpochOrder(std::vector<uint64_t> draws, uint64_t batch, bool homogeneous, uint64_t seed)
    : draws_(std::move(draws)), batch_(std::max<uint64_t>(1, batch)), seed_(seed),
      homogeneous_(homogeneous && draws_.size() > 1) {
  for (const uint64_t of_set : draws_) {
    first_.push_back(homogeneous_ ? steps_ : total_);
    total_ += of_set;
    steps_ += StepsPerEpoch(of_set, batch_);
  }
  if (!homogeneous_) steps_ = StepsPerEpoch(total_, batch_);
}

EpochOrder::Step EpochOrder::At(uint64_t step) const {
  const uint64_t epoch = step / steps_, of_epoch = step % steps_;
  return {epoch, of_epoch + 1 == steps_, homogeneous_ ? HomogeneousRows(epoch, of_epoch) : MixedRows(epoch, of_epoch)};
}

std::vector<EpochOrder::Place> EpochOrder::MixedRows(uint64_t epoch, uint64_t step) const {
  const KeyedPermutation order(total_, EpochKey(seed_, epoch, Purpose::kOrder));
  std::vector<Place> rows;
  for (uint64_t position = step * batch_; position < std::min(total_, (step + 1) * batch_); ++position) {
    const uint64_t draw = order(position);
    const size_t set = std::ranges::upper_bound(first_, draw) - first_.begin() - 1;
    rows.push_back({set, draw - first_[set]});
  }
  return rows;
}

std::vector<EpochOrder::Place> EpochOrder::HomogeneousRows(uint64_t epoch, uint64_t step) const {
  const uint64_t shuffled = KeyedPermutation(steps_, EpochKey(seed_, epoch, Purpose::kSteps))(step);
  const size_t set = std::ranges::upper_bound(first_, shuffled) - first_.begin() - 1;
  const uint64_t begin = (shuffled - first_[set]) * batch_;
  const KeyedPermutation order(draws_[set], MixKey(EpochKey(seed_, epoch, Purpose::kOrder), set));
  std::vector<Place> rows;
  for (uint64_t position = begin; position < std::min(draws_[set], begin + batch_); ++position) {
    rows.push_back({set, order(position)});
  }
  return rows;
}

}  // namespace muster
