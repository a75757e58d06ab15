// Names of other jobs' models in specifications: job:ID, job:ID@STEP.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace muster {

struct JobSource {
  std::string job;               // id; in a client also a name, or the beginning of an id
  std::optional<uint64_t> step;  // the checkpoint's step; nothing: the job's export
};

bool NamesJob(std::string_view from);  // it begins with "job:"
// INVALID_ARGUMENT if the text after "job:" is neither ID nor ID@STEP.
absl::StatusOr<JobSource> ParseJobSource(std::string_view from);
std::string ToString(const JobSource& source);  // "job:k3v9x0qa@40"

}  // namespace muster
