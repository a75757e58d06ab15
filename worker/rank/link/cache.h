// Folders that a host's ranks share, by digest.
#pragma once

#include <filesystem>
#include <string>

#include "absl/status/statusor.h"
#include "common/rpc/blobs.h"

namespace muster {

// CACHE/DIGEST with the manifest's files, whole and verified. One of the host's ranks downloads them while the others
// wait.
absl::StatusOr<std::filesystem::path> FetchIntoCache(BlobClient& blobs, const std::string& manifest_digest,
                                                     const std::filesystem::path& cache);

}  // namespace muster
