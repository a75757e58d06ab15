#include "common/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

// ENOENT becomes NOT_FOUND, ENOSPC RESOURCE_EXHAUSTED and so on, with the path before the system's message.
absl::Status SystemError(int error, const std::filesystem::path& path, absl::string_view what) {
  return absl::ErrnoToStatus(error, absl::StrCat(path.string(), ": ", what));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

absl::Status WriteAll(int fd, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t count = write(fd, bytes.data(), bytes.size());
    if (count < 0) {
      if (errno == EINTR) continue;
      return SystemError(errno, path, "cannot be written");
    }
    bytes.remove_prefix(count);
  }
  return absl::OkStatus();
}

absl::Status WriteNewFile(const std::filesystem::path& path, std::string_view bytes, unsigned mode) {
  const Descriptor fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (fd.get() < 0) return SystemError(errno, path, "cannot be made");
  if (fchmod(fd.get(), mode) != 0) return SystemError(errno, path, "cannot set permissions");  // whatever the umask
  RETURN_IF_ERROR(WriteAll(fd.get(), bytes, path));
  if (fsync(fd.get()) != 0) return SystemError(errno, path, "cannot be flushed to disk");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::filesystem::path& path) {
  const Descriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return SystemError(errno, path, "cannot be opened");
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return SystemError(errno, path, "cannot be read");
  std::string bytes(std::max<off_t>(info.st_size, 0), '\0');
  size_t done = 0;
  while (true) {
    if (done == bytes.size()) bytes.resize(bytes.size() + 4096);  // grows, or has no size (/proc)
    const ssize_t count = read(fd.get(), bytes.data() + done, bytes.size() - done);
    if (count < 0) {
      if (errno == EINTR) continue;
      return SystemError(errno, path, "cannot be read");
    }
    if (count == 0) break;
    done += count;
  }
  bytes.resize(done);
  return bytes;
}

absl::Status WriteFileAtomically(const std::filesystem::path& path, std::string_view bytes, unsigned mode) {
  static std::atomic<uint64_t> counter{0};
  std::filesystem::path aside = path;
  aside += absl::StrCat(".tmp-", getpid(), "-", counter.fetch_add(1));
  absl::Status status = WriteNewFile(aside, bytes, mode);
  if (status.ok() && rename(aside.c_str(), path.c_str()) != 0) status = SystemError(errno, path, "cannot be replaced");
  if (!status.ok()) {
    unlink(aside.c_str());
    return status;
  }
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  return FlushToDisk(folder);
}

absl::Status FlushToDisk(const std::filesystem::path& path) {
  const Descriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return SystemError(errno, path, "cannot be opened");
  if (fsync(fd.get()) != 0) return SystemError(errno, path, "cannot be flushed to disk");
  return absl::OkStatus();
}

absl::Status MakeFolders(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return SystemError(error.value(), path, "cannot be made");
  if (!std::filesystem::is_directory(path, error)) {
    return absl::FailedPreconditionError(absl::StrCat(path.string(), ": is not a folder"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::filesystem::path> MakeScratchFolder(const std::filesystem::path& parent, std::string_view prefix) {
  std::string name = (parent / absl::StrCat(ToAbsl(prefix), "-XXXXXX")).string();
  if (mkdtemp(name.data()) == nullptr) return SystemError(errno, parent, "cannot make a folder in it");
  return std::filesystem::path(name);
}

absl::StatusOr<uint64_t> FreeBytes(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::space_info info = std::filesystem::space(path, error);
  if (error) return SystemError(error.value(), path, "cannot ask for free space");
  return info.available;
}

bool IsSafeRelativePath(std::string_view path) {
  if (path.empty() || path.find('\0') != std::string_view::npos) return false;
  const std::filesystem::path parsed(path);
  if (parsed.is_absolute() || !parsed.has_filename()) return false;
  return std::none_of(parsed.begin(), parsed.end(),
                      [](const std::filesystem::path& part) { return part == ".." || part == "."; });
}

bool IsValidName(std::string_view name) {
  const auto lower_or_digit = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !name.empty() && name.size() <= 63 && lower_or_digit(name[0]) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return lower_or_digit(c) || c == '.' || c == '_' || c == '-'; });
}

absl::StatusOr<MappedFile> MappedFile::Open(const std::filesystem::path& path) {
  const Descriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return SystemError(errno, path, "cannot be opened");
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return SystemError(errno, path, "cannot be read");
  if (!S_ISREG(info.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(path.string(), ": is not a regular file"));
  }
  MappedFile file;
  if (info.st_size == 0) return file;  // mmap refuses a length of 0
  void* data = mmap(nullptr, info.st_size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (data == MAP_FAILED) return SystemError(errno, path, "cannot be mapped");
  file.data_ = static_cast<const char*>(data);
  file.size_ = info.st_size;
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<char*>(data_), size_);
}

}  // namespace muster
