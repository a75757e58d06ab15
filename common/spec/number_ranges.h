// The allowed range of every number in a job specification.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "muster/v1/job.pb.h"

namespace muster {

// Both ends are allowed. Every numeric field of JobSpec has exactly one entry: a test walks the fields.
struct NumberRange {
  std::string_view field;  // "model.max_length.query"
  double low, high;
  bool or_zero = false;  // 0 is allowed, too, with a special meaning
  std::string_view note = {};     // after the range: "tokens", "(0: all)"
};
std::span<const NumberRange> NumberRanges();

// "from 3 to 8192 tokens", "0 or from 1e-06 to 1e+06 (0: no clipping)".
std::string AllowedText(const NumberRange& range);

// INVALID_ARGUMENT for the first number that is set but is not finite or is out of its range.
absl::Status CheckNumbers(const muster::v1::JobSpec& spec);

}  // namespace muster
