// Writes a folder completely or not at all.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "client/interrupt.h"

namespace muster {

// Absolute, without a trailing slash. FAILED_PRECONDITION if it exists and is not an empty folder. `command` begins
// messages.
absl::StatusOr<std::filesystem::path> NewFolderTarget(const std::string& command, const std::string& folder);

// Makes the folders of a relative path below `root`, but never `root` itself: after Ctrl-C has removed it, files that
// are still being written must not bring it back.
absl::Status MakeFoldersBelow(const std::filesystem::path& root, const std::filesystem::path& relative);

// Files are written to a temporary folder next to the target, which is renamed at the end. The destructor and Ctrl-C remove it,
// unless it was published.
class NewFolder {
 public:
  // `target`: a result of NewFolderTarget. Creates the folders above it.
  static absl::StatusOr<std::unique_ptr<NewFolder>> Create(const std::string& command,
                                                           const std::filesystem::path& target);
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;
  ~NewFolder();

  const std::filesystem::path& aside() const { return aside_; }  // write here
  absl::Status Publish();

 private:
  NewFolder(const std::string& command, std::filesystem::path target, std::filesystem::path aside);

  const std::filesystem::path target_, aside_;
  const InterruptScope interrupt_;
};

}  // namespace muster
