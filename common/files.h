// Reads whole files, writes files atomically, and maps files into memory. Errors name the path.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster {

absl::StatusOr<std::string> ReadFile(const std::filesystem::path& path);

// Writes to a temporary file, flushes it and renames it: after a crash the file has the old bytes or the new ones,
// never half of them. `mode`: permission bits.
[[nodiscard]] absl::Status WriteFileAtomically(const std::filesystem::path& path, std::string_view bytes,
                                               unsigned mode = 0644);

// Flushes a file or a folder to disk.
[[nodiscard]] absl::Status FlushToDisk(const std::filesystem::path& path);

[[nodiscard]] absl::Status MakeFolders(const std::filesystem::path& path);

// A new empty folder `parent/prefix-XXXXXX`; the caller removes it.
absl::StatusOr<std::filesystem::path> MakeScratchFolder(const std::filesystem::path& parent, std::string_view prefix);

absl::StatusOr<uint64_t> FreeBytes(const std::filesystem::path& path);

// Whether a path from a client or a manifest stays inside its folder: relative, without "..", not empty.
bool IsSafeRelativePath(std::string_view path);

// [a-z0-9._-], 1 to 63 characters, the first a letter or digit: names of jobs, datasets, models, workers.
bool IsValidName(std::string_view name);

// A read-only view of a file. Movable; unmaps in its destructor.
class MappedFile {
 public:
  static absl::StatusOr<MappedFile> Open(const std::filesystem::path& path);
  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::string_view bytes() const { return {data_, size_}; }
  // The file as an array of T; its size must be a multiple of sizeof(T).
  template <typename T>
  const T* as() const {
    return reinterpret_cast<const T*>(data_);
  }
  size_t size() const { return size_; }

 private:
  const char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace muster
