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
  utimensat(AT_FDCWD, (cache / digest).c_str(), times, 0);  // not there: it is about to be fetched
}

uint64_t PruneCache(const std::filesystem::path& cache, uint64_t budget, const std::set<std::string>& in_use) {
  const std::vector<CachedFolder> folders = ListCache(cache);
  uint64_t kept = 0, freed = 0;
  for (const CachedFolder& folder : folders) kept += folder.bytes;
  for (const CachedFolder& folder : folders) {
    if (kept <= budget) break;
    if (in_use.contains(folder.digest) || IsBeingFetched(cache / (folder.digest + ".lock"))) continue;
    std::error_code error;
    std::filesystem::remove_all(cache / folder.digest, error);
    if (error) continue;
    kept -= folder.bytes;
    freed += folder.bytes;
  }
  return freed;
}

}  // namespace muster
