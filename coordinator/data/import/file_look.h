// Describes a file that no schema knows, for the error that refuses it.
#pragma once

#include <string>
#include <string_view>

namespace muster {

inline constexpr size_t kLookBytes = 4096;

// `begin`: the file's first bytes, decompressed; kLookBytes are enough. "is empty", "looks like CSV with the columns a,
// b", "is a Parquet file", …
std::string LookOfFile(std::string_view begin);

}  // namespace muster
