#include "coordinator/data/store/state_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/backup/restore_mark.h"
#include "common/files.h"
#include "common/status.h"

namespace muster {

absl::StatusOr<ScratchFolder> ScratchFolder::Make(const std::filesystem::path& parent, std::string_view prefix) {
  ASSIGN_OR_RETURN(std::filesystem::path path, MakeScratchFolder(parent, prefix));
  return ScratchFolder(std::move(path));
}
ScratchFolder::ScratchFolder(ScratchFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
ScratchFolder& ScratchFolder::operator=(ScratchFolder&& other) noexcept {
  std::swap(path_, other.path_);
  return *this;
}
ScratchFolder::~ScratchFolder() {
  std::error_code ignored;  // a later start removes what is left
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

absl::StatusOr<std::unique_ptr<StateFolder>> StateFolder::Open(const std::filesystem::path& root) {
  std::unique_ptr<StateFolder> state(new StateFolder(root));
  RETURN_IF_ERROR(MakeFolders(root));
  state->lock_ = open((root / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (state->lock_ < 0) return absl::ErrnoToStatus(errno, absl::StrCat((root / "lock").string(), ": cannot be opened"));
  if (flock(state->lock_, LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(root.string(), ": another muster-data has this state folder. Stop it, or use another folder."));
  }
  RETURN_IF_ERROR(ReadRestoreMark(root).status());
  std::error_code error;
  std::filesystem::remove_all(state->scratch(), error);
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat(state->scratch().string(), ": cannot be emptied"));
  for (const auto& folder : {state->datasets(), state->tokens(), state->blobs(), state->scratch()}) {
    RETURN_IF_ERROR(MakeFolders(folder));
  }
  return state;
}

StateFolder::~StateFolder() {
  if (lock_ >= 0) close(lock_);
}

absl::Status StateFolder::CheckRoom(uint64_t bytes) const {
  constexpr uint64_t kReserve = 64 << 20;
  ASSIGN_OR_RETURN(const uint64_t free, FreeBytes(root_));
  if (free >= kReserve && free - kReserve >= bytes) return absl::OkStatus();
  return WithReason(absl::ResourceExhaustedError(
                        absl::StrCat("the data server's disk has ", free >> 20, " MiB free, ", (bytes + kReserve) >> 20,
                                     " MiB are needed. Remove datasets or models, or give it a larger disk.")),
                    "DISK_FULL");
}

}  // namespace muster
