// Random ids that a server makes.
#pragma once

#include <string>

namespace muster {

// Eight letters and digits, the first a letter: 26 · 36^7 ids, from the operating system's randomness.
std::string RandomId();

}  // namespace muster
