// Files that a job has stored next to its step log, or in a checkpoint.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/rpc/blobs.h"

namespace muster {

// The content of the file `path` of a FileManifest; nothing: the manifest has no such file. NOT_FOUND: the manifest or the
// file is no longer stored.
absl::StatusOr<std::optional<std::string>> ReadStoredFile(BlobClient& blobs, const std::string& manifest,
                                                          std::string_view path);

}  // namespace muster
