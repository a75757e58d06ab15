// A rank's log on disk: NAME and, when that is full, NAME.1 with the earlier text. Never more than twice the limit.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/process/child_process.h"

namespace muster {

class LogFile {
 public:
  static absl::StatusOr<LogFile> Open(const std::filesystem::path& path, uint64_t max_bytes = 8 << 20);

  // Output that cannot be written (a full disk) is dropped: a log must not stop a rank.
  void Append(std::string_view lines);

 private:
  LogFile(std::filesystem::path path, uint64_t max_bytes) : path_(std::move(path)), max_bytes_(max_bytes) {}
  absl::Status Reopen();

  std::filesystem::path path_;
  uint64_t max_bytes_;
  uint64_t bytes_ = 0;
  OwnedFd fd_;
};

// Removes the oldest files of a folder beyond the newest `keep`.
void PruneLogs(const std::filesystem::path& folder, size_t keep);

}  // namespace muster
