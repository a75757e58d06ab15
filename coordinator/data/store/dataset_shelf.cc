#include "coordinator/data/store/dataset_shelf.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/status.h"
#include "coordinator/data/store/dataset_format.h"

namespace muster {

void DatasetShelf::MakeNew(const std::filesystem::path& path) const {
  const timespec now = absl::ToTimespec(clock_.Now());
  const timespec times[2] = {now, now};
  utimensat(AT_FDCWD, path.c_str(), times, 0);
}

std::shared_ptr<const Dataset> DatasetShelf::Held(const std::string& digest) {
  const auto found = open_.find(digest);
  return found == open_.end() ? nullptr : found->second.lock();
}

absl::Status DatasetShelf::Publish(const std::filesystem::path& scratch, const std::string& digest) {
  const std::filesystem::path target = folder_ / digest;
  absl::MutexLock lock(&mutex_);
  std::error_code error;
  if (std::filesystem::exists(target, error)) {
    if (Held(digest) != nullptr || Dataset::Open(target).ok()) {
      MakeNew(target);
      return absl::OkStatus();
    }
    std::filesystem::remove_all(target, error);  // damaged: the new one replaces it
  }
  MakeNew(scratch);
  std::filesystem::rename(scratch, target, error);
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat(target.string(), ": cannot be published"));
  return FlushToDisk(folder_);
}

absl::StatusOr<std::shared_ptr<const Dataset>> DatasetShelf::Open(const std::string& digest) {
  const std::filesystem::path path = folder_ / digest;
  absl::MutexLock lock(&mutex_);
  std::shared_ptr<const Dataset> dataset = Held(digest);
  if (dataset != nullptr) {
    MakeNew(path);
    return dataset;
  }
  std::error_code error;
  if (!IsSha256Hex(digest) || !std::filesystem::exists(path, error)) {
    return WithReason(absl::NotFoundError(absl::StrCat("dataset ", digest.substr(0, 12),
                                                       " is no longer stored. Import it again, then submit again.")),
                      "DATASET_NOT_FOUND");
  }
  ASSIGN_OR_RETURN(dataset, Dataset::Open(path));
  MakeNew(path);
  open_[digest] = dataset;
  return dataset;
}

absl::Status DatasetShelf::RemoveIfUnused(const std::string& digest) {
  absl::MutexLock lock(&mutex_);
  if (!IsSha256Hex(digest) || Held(digest) != nullptr) return absl::OkStatus();
  open_.erase(digest);
  std::error_code error;
  std::filesystem::remove_all(folder_ / digest, error);
  if (!error) return absl::OkStatus();
  return absl::ErrnoToStatus(error.value(), absl::StrCat((folder_ / digest).string(), ": cannot be removed"));
}

absl::StatusOr<bool> DatasetShelf::RemoveUnlessUsedSince(const std::string& digest, absl::Time time) {
  const std::filesystem::path path = folder_ / digest;
  absl::MutexLock lock(&mutex_);
  struct stat info {};
  if (!IsSha256Hex(digest) || Held(digest) != nullptr || stat(path.c_str(), &info) != 0) return false;
  if (absl::TimeFromTimespec(info.st_mtim) >= time) return false;
  open_.erase(digest);
  // Move it away first, so that an interrupted removal leaves no half dataset under its digest.
  std::filesystem::path aside = path;
  aside += ".removed";
  std::error_code error;
  std::filesystem::rename(path, aside, error);
  if (!error) std::filesystem::remove_all(aside, error);
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat(path.string(), ": cannot be removed"));
  return true;
}

absl::StatusOr<std::vector<std::string>> DatasetShelf::NotUsedSince(absl::Time time) const {
  std::vector<std::string> digests;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, error)) {
    struct stat info {};
    const std::string name = entry.path().filename().string();
    if (!IsSha256Hex(name) || stat(entry.path().c_str(), &info) != 0) continue;
    if (absl::TimeFromTimespec(info.st_mtim) < time) digests.push_back(name);
  }
  if (error) return absl::ErrnoToStatus(error.value(), folder_.string());
  return digests;
}

}  // namespace muster
