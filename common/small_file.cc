#include "common/small_file.h"

#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/files.h"

namespace muster {

absl::StatusOr<std::string> ReadSmallFile(const std::filesystem::path& path, uint64_t most) {
  std::error_code error;
  const uint64_t bytes = std::filesystem::file_size(path, error);
  if (!error && bytes > most) {
    return absl::InvalidArgumentError(
        absl::StrCat(path.filename().string(), ": has ", bytes, " bytes, at most ", most, " are read"));
  }
  return ReadFile(path);  // reports the error of a path that has no size
}

}  // namespace muster
