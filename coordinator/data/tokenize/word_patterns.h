// Hand-written splitters for the well-known patterns that cut a text into words.
#pragma once

#include <memory>
#include <string_view>

#include "coordinator/data/tokenize/pattern.h"

namespace muster {

// A splitter for the pattern, or null if it is not a well-known one.
std::unique_ptr<const Pattern> WordPattern(std::string_view regex);

}  // namespace muster
