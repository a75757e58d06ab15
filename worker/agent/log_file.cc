#include "worker/agent/log_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>
#include <utility>
#include <vector>

#include "common/status.h"

namespace muster {

absl::StatusOr<LogFile> LogFile::Open(const std::filesystem::path& path, uint64_t max_bytes) {
  LogFile file(path, max_bytes);
  RETURN_IF_ERROR(file.Reopen());
  return file;
}

absl::Status LogFile::Reopen() {
  bytes_ = 0;
  ASSIGN_OR_RETURN(fd_, OpenFd(path_, O_WRONLY | O_CREAT | O_TRUNC));
  return absl::OkStatus();
}

void LogFile::Append(std::string_view lines) {
  if (bytes_ + lines.size() > max_bytes_ && bytes_ > 0) {
    std::error_code ignored;
    std::filesystem::rename(path_, path_.string() + ".1", ignored);
    if (!Reopen().ok()) return;
  }
  const ssize_t written = write(fd_.get(), lines.data(), lines.size());
  if (written > 0) bytes_ += static_cast<uint64_t>(written);
}

void PruneLogs(const std::filesystem::path& folder, size_t keep) {
  std::error_code ignored;
  std::vector<std::pair<std::filesystem::file_time_type, std::filesystem::path>> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    files.emplace_back(entry.last_write_time(ignored), entry.path());
  }
  std::sort(files.begin(), files.end(), std::greater<>());
  for (size_t i = keep; i < files.size(); ++i) std::filesystem::remove(files[i].second, ignored);
}

}  // namespace muster
