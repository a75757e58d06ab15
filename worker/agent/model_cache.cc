#include "worker/agent/model_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <system_error>
#include <vector>

#include "common/digest.h"
#include "common/process/child_process.h"

namespace muster {
namespace {

struct CachedFolder {
  std::filesystem::file_time_type used;
  std::string digest;
  uint64_t bytes = 0;
};

std::vector<CachedFolder> ListCache(const std::filesystem::path& cache) {
  std::vector<CachedFolder> folders;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(cache, ignored)) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_directory(ignored) || !IsSha256Hex(name)) continue;
    CachedFolder folder = {entry.last_write_time(ignored), name, 0};
    for (const auto& file : std::filesystem::recursive_directory_iterator(entry.path(), ignored)) {
      if (file.is_regular_file(ignored)) folder.bytes += file.file_size(ignored);
    }
    folders.push_back(folder);
  }
  std::sort(folders.begin(), folders.end(),
            [](const CachedFolder& a, const CachedFolder& b) { return a.used < b.used; });
  return folders;
}

// The rank that fetches into the folder holds this lock.
bool IsBeingFetched(const std::filesystem::path& lock) {
  const OwnedFd fd(open(lock.c_str(), O_RDWR | O_CLOEXEC));
  return fd.valid() && flock(fd.get(), LOCK_EX | LOCK_NB) != 0;
}

}  // namespace

void MarkUsed(const std::filesystem::path& cache, const std::string& digest, absl::Time now) {
  const timespec time = absl::ToTimespec(now);
  const timespec times[2] = {time, time};
  utimensat(AT_FDCWD, (cache / digest).c_str(), times, 0);  // fails if the folder is not fetched yet
}

void ModelsInUse::Use(const RankKey& rank, std::vector<std::string> digests) {
  absl::MutexLock lock(&mutex_);
  digests_[rank] = std::move(digests);
}

void ModelsInUse::Release(const RankKey& rank) {
  absl::MutexLock lock(&mutex_);
  digests_.erase(rank);
}

void ModelsInUse::IfUnused(const std::string& digest, const std::function<void()>& act) {
  absl::MutexLock lock(&mutex_);
  const bool used = std::any_of(digests_.begin(), digests_.end(), [&](const auto& entry) {
    return std::find(entry.second.begin(), entry.second.end(), digest) != entry.second.end();
  });
  if (!used) act();
}

uint64_t PruneCache(const std::filesystem::path& cache, uint64_t budget, ModelsInUse& in_use,
                    const std::filesystem::path& trash) {
  const std::vector<CachedFolder> folders = ListCache(cache);
  uint64_t kept = 0, freed = 0;
  for (const CachedFolder& folder : folders) kept += folder.bytes;
  for (const CachedFolder& folder : folders) {
    if (kept <= budget) break;
    if (IsBeingFetched(cache / (folder.digest + ".lock"))) continue;
    bool moved = false;
    in_use.IfUnused(folder.digest, [&] {
      std::error_code error;
      std::filesystem::rename(cache / folder.digest, trash / folder.digest, error);
      moved = !error;
    });
    if (!moved) continue;
    std::error_code left;  // the next start empties the trash
    std::filesystem::remove_all(trash / folder.digest, left);
    kept -= folder.bytes;
    freed += folder.bytes;
  }
  return freed;
}

}  // namespace muster
