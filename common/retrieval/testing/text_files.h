// A folder for files of a test, removed at its end.
#pragma once

#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "common/files.h"

namespace muster {

class TextFiles {
 public:
  TextFiles() : folder_(*MakeScratchFolder(std::filesystem::temp_directory_path(), "muster-retrieval")) {}
  ~TextFiles() { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, std::string_view text) const {
    EXPECT_TRUE(WriteFileAtomically(folder_ / name, text).ok());
    return (folder_ / name).string();
  }
  std::string WriteGzip(const std::string& name, std::string_view text) const {
    const std::string path = (folder_ / name).string();
    gzFile out = gzopen(path.c_str(), "wb");
    EXPECT_EQ(gzwrite(out, text.data(), static_cast<unsigned>(text.size())), static_cast<int>(text.size()));
    EXPECT_EQ(gzclose(out), Z_OK);
    return path;
  }
  const std::filesystem::path& folder() const { return folder_; }

 private:
  const std::filesystem::path folder_;
};

// The message of a status without the folder of the files.
inline std::string Shortened(const absl::Status& status, const TextFiles& files) {
  std::string text(status.message());
  const std::string folder = files.folder().string() + "/";
  for (size_t place; (place = text.find(folder)) != std::string::npos;) text.erase(place, folder.size());
  return text;
}

}  // namespace muster
