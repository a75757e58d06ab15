// Configuration keys of other trainers that people write into a job file although Muster solves the problem differently.
#pragma once

#include <string_view>

namespace muster {

// Sentences that say what to use instead; empty if the key is not a known one. Ignores case, "_" and "-".
std::string_view RemedyForKey(std::string_view key);

}  // namespace muster
