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
      absl::StrCat(command, ": ", target.string(), " is there already and not empty. Choose another folder."));
}

NewFolder::NewFolder(const std::string& command, std::filesystem::path target, std::filesystem::path aside)
    : target_(std::move(target)),
      aside_(std::move(aside)),
      interrupt_(absl::StrCat(command, ": interrupted. Nothing was written to ", target_.string(), "."), [path = aside_] {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
      }) {}

NewFolder::~NewFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(aside_, ignored);
}

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
