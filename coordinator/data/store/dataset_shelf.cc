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

std::shared_ptr<DatasetShelf::Entry> DatasetShelf::Settled(const std::string& digest) {
  std::shared_ptr<Entry>& found = entries_[digest];
  if (found == nullptr) found = std::make_shared<Entry>();
  const std::shared_ptr<Entry> entry = found;
  mutex_.Await(absl::Condition(+[](bool* opening) { return !*opening; }, &entry->opening));
  return entry;
}

bool DatasetShelf::HeldByOthers(const std::string& digest) {
  const std::shared_ptr<Entry> entry = Settled(digest);
  std::erase(kept_, entry->dataset.lock());
  return !entry->dataset.expired();
}

void DatasetShelf::Keep(std::shared_ptr<const Dataset> dataset) {
  std::erase(kept_, dataset);
  kept_.push_back(std::move(dataset));
  if (kept_.size() > kKept) kept_.pop_front();
}

absl::Status DatasetShelf::Publish(const std::filesystem::path& scratch, const std::string& digest) {
  const std::filesystem::path target = folder_ / digest;
  absl::MutexLock lock(&mutex_);
  std::error_code error;
  if (std::filesystem::exists(target, error)) {
    if (!Settled(digest)->dataset.expired() || Dataset::Open(target).ok()) {
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
  std::error_code error;
  const std::shared_ptr<Entry> entry = IsSha256Hex(digest) ? Settled(digest) : nullptr;
  if (entry == nullptr || !std::filesystem::exists(path, error)) {
    entries_.erase(digest);
    return WithReason(absl::NotFoundError(absl::StrCat("dataset ", digest.substr(0, 12),
                                                       " is no longer stored. Import it again, then submit again.")),
                      "DATASET_NOT_FOUND");
  }
  std::shared_ptr<const Dataset> dataset = entry->dataset.lock();
  if (dataset == nullptr) {
    entry->opening = true;
    mutex_.Unlock();
    absl::StatusOr<std::shared_ptr<const Dataset>> opened = Dataset::Open(path);
    mutex_.Lock();
    entry->opening = false;
    RETURN_IF_ERROR(opened.status());
    dataset = *std::move(opened);
    entry->dataset = dataset;
  }
  MakeNew(path);
  Keep(dataset);
  return dataset;
}

absl::StatusOr<bool> DatasetShelf::RemoveUnlessUsedSince(const std::string& digest, absl::Time time) {
  const std::filesystem::path path = folder_ / digest;
  absl::MutexLock lock(&mutex_);
  struct stat info {};
  if (!IsSha256Hex(digest) || stat(path.c_str(), &info) != 0) return false;
  if (absl::TimeFromTimespec(info.st_mtim) >= time || HeldByOthers(digest)) return false;
  entries_.erase(digest);
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
