#include "common/process/lock_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace muster {

absl::StatusOr<OwnedFd> LockFile(const std::filesystem::path& file, const std::string& what) {
  ASSIGN_OR_RETURN(OwnedFd fd, OpenFd(file, O_RDWR | O_CREAT));
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    char text[32] = {};
    [[maybe_unused]] const ssize_t count = pread(fd.get(), text, sizeof(text) - 1, 0);
    return absl::FailedPreconditionError(
        absl::StrCat(file.parent_path().string(), " is in use by another ", what, " (pid ",
                     absl::StripAsciiWhitespace(text), "). Stop it, or choose another folder with --state."));
  }
  const std::string pid = absl::StrCat(getpid(), "\n");
  if (ftruncate(fd.get(), 0) != 0 || pwrite(fd.get(), pid.data(), pid.size(), 0) < 0) {
    return absl::ErrnoToStatus(errno, file.string());
  }
  return fd;
}

}  // namespace muster
