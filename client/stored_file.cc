#include "client/stored_file.h"

#include <filesystem>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "common/files.h"
#include "common/status.h"

namespace muster {

absl::StatusOr<std::optional<std::string>> ReadStoredFile(BlobClient& blobs, const std::string& manifest,
                                                          std::string_view path) {
  ASSIGN_OR_RETURN(const auto stored, blobs.GetManifest(manifest));
  for (const muster::v1::FileEntry& file : stored.files()) {
    if (file.path() != path) continue;
    // Reads it into a file, because it may exceed the size of a message.
    ASSIGN_OR_RETURN(const auto folder, MakeScratchFolder(std::filesystem::temp_directory_path(), "muster-stored"));
    const absl::Cleanup remove = [&folder] {
      std::error_code ignored;
      std::filesystem::remove_all(folder, ignored);
    };
    RETURN_IF_ERROR(blobs.GetFile(file.digest(), folder / "file"));
    ASSIGN_OR_RETURN(std::string text, ReadFile(folder / "file"));
    return std::make_optional(std::move(text));
  }
  return std::nullopt;
}

}  // namespace muster
