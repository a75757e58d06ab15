// STATE/cache: folders of models and tokenizers by the digest of their manifest, which ranks fetch (rank/link/cache.h)
// and the agent bounds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>

#include "absl/time/time.h"

namespace muster {

// A rank is about to use it: it goes last.
void MarkUsed(const std::filesystem::path& cache, const std::string& digest, absl::Time now);

// Removes the folders that were not used for the longest time until the others have at most `budget` bytes. Those in
// `in_use`, and those that a rank is fetching, stay. Returns the bytes that came free.
uint64_t PruneCache(const std::filesystem::path& cache, uint64_t budget, const std::set<std::string>& in_use);

}  // namespace muster
