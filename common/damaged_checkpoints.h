// The reason of a job that ends because all its checkpoints are damaged. Both the rank that found it and the
// coordinator use this text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace muster {

// `steps` of all damaged checkpoints, at least one; `newest`: what is wrong with the newest.
inline std::string AllCheckpointsDamaged(const std::vector<uint64_t>& steps, const std::string& newest) {
  return absl::StrCat(steps.size() == 1 ? "the only checkpoint" : absl::StrCat("all ", steps.size(), " checkpoints"),
                      " of the job ", steps.size() == 1 ? "is" : "are", " damaged (step", steps.size() == 1 ? " " : "s ",
                      absl::StrJoin(steps, ", "), "). The newest: ", newest,
                      ". Submit the job again to train from the start.");
}

}  // namespace muster
