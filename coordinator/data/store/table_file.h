// Writes a file of a dataset's folder: buffered, hashed while it is written, flushed to disk at the end.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/digest.h"

namespace muster {

struct TableFacts {
  uint64_t bytes = 0;
  std::string sha256;
};

// Not thread-safe. An error of a write is kept and reported by Close.
class TableFile {
 public:
  static absl::StatusOr<std::unique_ptr<TableFile>> Create(const std::filesystem::path& path);

  void Append(std::string_view bytes);
  template <typename T>
  void AppendValue(const T& value) {
    Append({reinterpret_cast<const char*>(&value), sizeof(T)});
  }
  uint64_t size() const { return size_; }

  absl::StatusOr<TableFacts> Close();

 private:
  TableFile(std::filesystem::path path, FILE* file) : path_(std::move(path)), file_(file, &std::fclose) {}

  std::filesystem::path path_;
  std::unique_ptr<FILE, int (*)(FILE*)> file_;
  Sha256 sha_;
  uint64_t size_ = 0;
  bool failed_ = false;
};

template <typename T>
absl::StatusOr<TableFacts> WriteTable(const std::filesystem::path& path, std::span<const T> values) {
  absl::StatusOr<std::unique_ptr<TableFile>> file = TableFile::Create(path);
  if (!file.ok()) return file.status();
  (*file)->Append({reinterpret_cast<const char*>(values.data()), values.size_bytes()});
  return (*file)->Close();
}

}  // namespace muster
