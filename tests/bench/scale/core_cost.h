// Measures the cost of one decision in the coordinator's core: no I/O, no threads, no gRPC.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace muster::bench {

struct EventCost {
  std::string event;
  double microseconds = 0;       // of processor time: mean of one Step with the Apply of its records
  double plan_microseconds = 0;  // mean time of the Plan that it requested; 0: it requested none
};
struct CoreCosts {
  uint32_t workers = 0, jobs = 0, running = 0;
  double bytes_per_waiting_job = 0;
  std::vector<EventCost> events;
};

// A full cluster of `workers` with 8 slots each, and `jobs` jobs of 1 to 16 slots: as many as fit run, the others wait.
CoreCosts MeasureCore(uint32_t workers, uint32_t jobs, uint32_t repeats);

}  // namespace muster::bench
