// Measures a real coordinator under a simulated fleet: its cost, its response times, and its recovery from faults.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"

namespace muster::bench {

struct FleetRun {
  std::filesystem::path coordinator;  // program
  std::filesystem::path folder;       // scratch
  uint32_t workers = 100, slots = 8, jobs = 1000, submitters = 16;
  double rest_seconds = 8, silence_seconds = 24, restart_seconds = 25;
  double progress_seconds = 0;  // between two reports of an attempt's progress; 0: none are sent
  bool queued_first = false;    // submit before any agent connects
  bool silence = true, restart = true;
};

absl::StatusOr<nlohmann::json> MeasureFleet(const FleetRun& run);

}  // namespace muster::bench
