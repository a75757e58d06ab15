// What backfill must leave to the job that is next in line: pure arithmetic on what is free and on when attempts end.
//
// Slots that come free are reserved for the first job that cannot be placed yet. A later job may start on slots that are
// free now if that changes nothing for the reserved one, whichever of the running attempts ends first:
//   - it ends before the reserved job can start at the earliest, or
//   - it uses slots that the reserved job does not need, whenever that starts (`spare`).
// Example. 3 slots are free, and the reserved job needs 8. An attempt of 8 slots ends in 10 to 15 minutes, another of 5 slots
// in 60 to 80. The reserved job starts when the first one ends, and 11 slots are free then: a job of any length may have 3. If
// the end of the attempt of 5 slots were unknown, it might end first. Then 8 slots would be free, and none would be spare.
#pragma once

#include <bitset>
#include <cstdint>

#include "absl/time/time.h"
#include "coordinator/core/cluster_index.h"
#include "coordinator/core/run_ends.h"

namespace muster {

class Reservation {
 public:
  // Computes the reservation of a job of {min, max} slots on one group of workers. Used slots that belong to no attempt in
  // `ends` may come free at any moment, one by one.
  Reservation(uint32_t min, uint32_t max, const GroupSupply& supply, const RunEnds& ends, absl::Time now);

  // The earliest start of the reserved job here. Infinite: it cannot start here, no matter which attempts end.
  absl::Time earliest() const { return earliest_; }
  // Slots that other jobs may use without a limit of time.
  uint32_t spare() const { return spare_; }
  // Called when another job takes this many spare slots.
  void Take(uint32_t slots);

 private:
  static constexpr size_t kSums = 8193;  // twice the widest job
  void FindSpare();
  void AddWidth(uint32_t slots, uint64_t count);

  uint32_t min_, max_;
  absl::Time earliest_ = absl::InfiniteFuture();
  uint32_t spare_ = UINT32_MAX;
  int64_t base_ = 0;           // slots that are surely free when the reserved job starts
  std::bitset<kSums> sums_;    // how many more may be free then, depending on which attempts have ended
};

}  // namespace muster
