// Measures how much of a cluster jobs use, and how long they wait, with and without backfill, in simulated time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace muster::bench {

struct PlacementRun {
  uint32_t workers = 16;  // of 8 slots each
  uint32_t jobs = 1000;   // of each queue
  uint32_t queues = 10;
  double load = 1.1;      // work that arrives, as a share of what the cluster can do
  uint64_t seed = 1;
};

// The mean of all queues under one rule.
struct PlacementFigures {
  std::string rule;  // for the table
  double utilization = 0, mean_wait_minutes = 0, wide_wait_minutes = 0, ahead_share = 0;
  double plan_microseconds = 0;  // of one plan, with the simulation around it
};

// Without backfill, and with it if the run time of 0%, 50% or 100% of the jobs is known before they start.
std::vector<PlacementFigures> MeasurePlacement(const PlacementRun& run);

}  // namespace muster::bench
