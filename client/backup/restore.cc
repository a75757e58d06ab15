#include "client/backup/restore.h"

#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/backup/restore_mark.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/process/lock_file.h"
#include "common/status.h"

namespace muster {
namespace {

using muster::internal::v1::BackupManifest;
using muster::internal::v1::BackupPart;

constexpr uint64_t kReserve = 64 << 20;  // bytes that must stay free

struct Target {
  const BackupPart* part = nullptr;
  std::filesystem::path folder;
  OwnedFd lock;
};

// New, empty, or left by an interrupted restore. A fresh volume may have its own lost+found.
absl::Status CheckEmpty(const std::filesystem::path& folder) {
  if (absl::IsFailedPrecondition(ReadRestoreMark(folder).status())) return absl::OkStatus();
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name == "lost+found" || name == "lock") continue;
    return absl::FailedPreconditionError(
        absl::StrCat("restore: ", folder.string(), " is not empty (", name, "). Give a new folder, or move it away."));
  }
  return error ? absl::ErrnoToStatus(error.value(), folder.string()) : absl::OkStatus();
}

absl::StatusOr<Target> Prepare(const BackupManifest& manifest, const std::string& server,
                               const std::filesystem::path& folder) {
  Target target;
  target.folder = folder;
  for (const BackupPart& part : manifest.parts()) {
    if (part.server() == server) target.part = &part;
  }
  if (target.part == nullptr) {
    return absl::NotFoundError(absl::StrCat("restore: backup ", manifest.name(), " has no part of the ", server));
  }
  RETURN_IF_ERROR(MakeFolders(folder));
  ASSIGN_OR_RETURN(target.lock, LockFile(folder / "lock", "server or restore"));
  RETURN_IF_ERROR(CheckEmpty(folder));
  uint64_t bytes = 0;
  for (const auto& file : target.part->files()) bytes += file.size();
  ASSIGN_OR_RETURN(const uint64_t free, FreeBytes(folder));
  if (free < bytes + kReserve) {
    return absl::ResourceExhaustedError(absl::StrCat("restore: ", folder.string(), " has ", free >> 20, " MiB free, ",
                                                     (bytes + kReserve) >> 20, " MiB are needed. Give a larger volume."));
  }
  return target;
}

absl::Status CopyFileChecked(const BackupRepository& repository, const muster::internal::v1::CopyFile& file,
                             const std::filesystem::path& target) {
  RETURN_IF_ERROR(MakeFolders(target.parent_path()));
  std::error_code error;
  std::filesystem::copy_file(repository.PathOf(file.digest()), target, std::filesystem::copy_options::overwrite_existing, error);
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat(target.string(), ": cannot be restored"));
  ASSIGN_OR_RETURN(const std::string digest, Sha256HexOfFile(target));
  if (digest != file.digest()) {
    return absl::DataLossError(absl::StrCat("restore: ", repository.PathOf(file.digest()).string(), " is damaged (",
                                            file.path(), "). Restore another backup into a new folder."));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<BackupManifest> RestoreBackup(const BackupRepository& repository, const RestoreOptions& options) {
  ASSIGN_OR_RETURN(BackupManifest manifest, repository.Read(options.backup));
  std::vector<Target> targets;
  for (const auto& [server, folder] : {std::pair("coordinator", options.coordinator), std::pair("data", options.data)}) {
    if (folder.empty()) continue;
    ASSIGN_OR_RETURN(Target target, Prepare(manifest, server, folder));
    targets.push_back(std::move(target));
  }
  uint64_t done = 0, total = 0;
  for (const Target& target : targets) {
    RETURN_IF_ERROR(WriteRestoreMark(target.folder, {manifest.name(), /*complete=*/false, 0}));
    for (const auto& file : target.part->files()) total += file.size();
  }
  for (const Target& target : targets) {
    for (const auto& file : target.part->files()) {
      RETURN_IF_ERROR(CopyFileChecked(repository, file, target.folder / file.path()));
      done += file.size();
      if (options.progress) options.progress(done, total);
    }
  }
  for (const Target& target : targets) {
    if (syncfs(target.lock.get()) != 0) return absl::ErrnoToStatus(errno, absl::StrCat(target.folder.string(), ": cannot be flushed"));
  }
  // Written last, so that neither server starts on an incomplete restore.
  for (const Target& target : targets) {
    RETURN_IF_ERROR(WriteRestoreMark(target.folder, {manifest.name(), /*complete=*/true, EpochAfterRestore(options.now)}));
  }
  return manifest;
}

}  // namespace muster
