// A folder for the files of a target's inputs; it is removed when the process ends.
#pragma once

#include <filesystem>
#include <string>

#include "common/files.h"
#include "tests/fuzz/check.h"

namespace muster {

class FuzzFolder {
 public:
  FuzzFolder() {
    const auto made = MakeScratchFolder(std::filesystem::temp_directory_path(), "muster-fuzz");
    FUZZ_CHECK(made.ok(), made.status().ToString());
    path_ = *made;
  }
  ~FuzzFolder() { std::filesystem::remove_all(path_); }

  const std::filesystem::path& path() const { return path_; }

  // An empty folder of that name.
  std::filesystem::path Fresh(const std::string& name) const {
    std::filesystem::remove_all(path_ / name);
    std::filesystem::create_directories(path_ / name);
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

// Without the flush to disk of WriteFileAtomically.
inline void Put(const std::filesystem::path& file, std::string_view bytes) {
  std::filesystem::create_directories(file.parent_path());
  FILE* out = std::fopen(file.c_str(), "wb");
  FUZZ_CHECK(out != nullptr, file.string());
  std::fwrite(bytes.data(), 1, bytes.size(), out);
  std::fclose(out);
}

}  // namespace muster
