// Measures a garbage collection through a real coordinator and a real data server: its time, the memory of both, and whether
// the coordinator answers meanwhile.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"

namespace muster::bench {

struct GarbageRun {
  std::filesystem::path coordinator, data;  // programs
  std::filesystem::path folder;             // scratch
  uint32_t blobs = 1'000'000;
  uint32_t roots = 500'000;  // manifests that jobs refer to, in equal shares; half of the other blobs are the files they name
  uint32_t jobs = 20'000;    // that have ended and keep their checkpoints
};

// An error if anything else than the blobs that nothing names was removed.
absl::StatusOr<nlohmann::json> MeasureGarbage(const GarbageRun& run);

}  // namespace muster::bench
