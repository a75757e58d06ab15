#include "client/new_folder.h"

#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status.h"

namespace muster {

absl::StatusOr<std::filesystem::path> NewFolderTarget(const std::string& command, const std::string& folder) {
  std::filesystem::path target = std::filesystem::absolute(folder).lexically_normal();
  if (!target.has_filename()) target = target.parent_path();  // "DIR/"
  std::error_code error;
  if (!std::filesystem::exists(target, error)) return target;
  if (std::filesystem::is_directory(target, error) && std::filesystem::is_empty(target, error)) return target;
  return absl::FailedPreconditionError(
      absl::StrCat(command, ": ", target.string(), " exists and is not empty. Choose another folder."));
}

namespace {

// Renames the folder first, so that a command that is still writing cannot add files to it.
void Remove(const std::filesystem::path& folder) {
  std::filesystem::path removed = folder;
  removed += ".removed";
  std::error_code error;
  std::filesystem::rename(folder, removed, error);
  if (!error) std::filesystem::remove_all(removed, error);
}

}  // namespace

absl::Status MakeFoldersBelow(const std::filesystem::path& root, const std::filesystem::path& relative) {
  std::filesystem::path folder = root;
  for (const std::filesystem::path& part : relative) {
    folder /= part;
    std::error_code error;
    std::filesystem::create_directory(folder, error);
    if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat(folder.string(), ": cannot be made"));
  }
  return absl::OkStatus();
}

NewFolder::NewFolder(const std::string& command, std::filesystem::path target, std::filesystem::path aside)
    : target_(std::move(target)),
      aside_(std::move(aside)),
      interrupt_(absl::StrCat(command, ": interrupted. Nothing was written to ", target_.string(), "."), [path = aside_] { Remove(path); }) {}

NewFolder::~NewFolder() { Remove(aside_); }

absl::StatusOr<std::unique_ptr<NewFolder>> NewFolder::Create(const std::string& command,
                                                             const std::filesystem::path& target) {
  RETURN_IF_ERROR(MakeFolders(target.parent_path()));
  ASSIGN_OR_RETURN(std::filesystem::path aside,
                   MakeScratchFolder(target.parent_path(), absl::StrCat(target.filename().string(), ".new")));
  return std::unique_ptr<NewFolder>(new NewFolder(command, target, std::move(aside)));
}

absl::Status NewFolder::Publish() {
  std::error_code error;
  std::filesystem::permissions(aside_, std::filesystem::perms(0755), error);
  std::filesystem::rename(aside_, target_, error);
  return error ? absl::ErrnoToStatus(error.value(), target_.string()) : absl::OkStatus();
}

}  // namespace muster
