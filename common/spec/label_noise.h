// Rules of data.noise that need no data.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "muster/v1/job.pb.h"

namespace muster {

inline constexpr uint64_t kDefaultNoiseSeed = 17;

// Whether any share, or the error of grades, is above 0.
bool HasNoise(const muster::v1::DataSpec& data);

// Removes noise that changes nothing, so that it is the same as none; otherwise fills in what is left out. Idempotent.
void FillNoise(muster::v1::DataSpec& data);

// INVALID_ARGUMENT if the shares add up to more than 1.
absl::Status CheckNoise(const muster::v1::DataSpec& data);

// "random passages 0.2, dropped 0.1, seed 17"; empty: none.
std::string NoiseText(const muster::v1::DataSpec& data);

}  // namespace muster
