#include "worker/rank/link/cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/status.h"

namespace muster {
namespace {

class FileLock {  // held until it goes out of scope, or its process ends
 public:
  static absl::StatusOr<FileLock> Take(const std::filesystem::path& path) {
    const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor < 0) return absl::ErrnoToStatus(errno, absl::StrCat(path.string(), ": cannot be locked"));
    while (flock(descriptor, LOCK_EX) != 0) {
      if (errno == EINTR) continue;
      const absl::Status status = absl::ErrnoToStatus(errno, absl::StrCat(path.string(), ": cannot be locked"));
      close(descriptor);
      return status;
    }
    return FileLock(descriptor);
  }
  FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  ~FileLock() {
    if (descriptor_ >= 0) close(descriptor_);
  }

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace

absl::StatusOr<std::filesystem::path> FetchIntoCache(BlobClient& blobs, const std::string& manifest_digest,
                                                     const std::filesystem::path& cache) {
  if (!IsSha256Hex(manifest_digest)) {
    return absl::InvalidArgumentError(absl::StrCat("\"", manifest_digest, "\" is not the digest of a manifest"));
  }
  RETURN_IF_ERROR(MakeFolders(cache));
  ASSIGN_OR_RETURN(const FileLock lock, FileLock::Take(cache / absl::StrCat(manifest_digest, ".lock")));
  ASSIGN_OR_RETURN(const auto manifest, blobs.GetManifest(manifest_digest));
  const std::filesystem::path folder = cache / manifest_digest;
  RETURN_IF_ERROR(blobs.GetFolder(manifest, folder));
  return folder;
}

}  // namespace muster
