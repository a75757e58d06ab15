// Keys of other trainers that people write into a job file, and for which Muster has something else.
#pragma once

#include <string_view>

namespace muster {

// What to use instead, as sentences; empty: nothing is known of the key. Case, and "_" and "-", do not count.
std::string_view RemedyForKey(std::string_view key);

}  // namespace muster
