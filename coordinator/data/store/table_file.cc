#include "coordinator/data/store/table_file.h"

#include <unistd.h>

#include <cerrno>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace muster {

absl::StatusOr<std::unique_ptr<TableFile>> TableFile::Create(const std::filesystem::path& path) {
  FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return absl::ErrnoToStatus(errno, absl::StrCat(path.string(), ": cannot be written"));
  std::setvbuf(file, nullptr, _IOFBF, 1 << 18);
  return std::unique_ptr<TableFile>(new TableFile(path, file));
}

void TableFile::Append(std::string_view bytes) {
  if (bytes.empty()) return;
  failed_ |= std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size();
  sha_.Update(bytes);
  size_ += bytes.size();
}

absl::StatusOr<TableFacts> TableFile::Close() {
  failed_ |= std::fflush(file_.get()) != 0;
  failed_ |= fsync(fileno(file_.get())) != 0;
  if (failed_) {
    return absl::ResourceExhaustedError(absl::StrCat(path_.string(), ": cannot be written. Is the disk full?"));
  }
  file_.reset();
  return TableFacts{size_, sha_.FinishHex()};
}

}  // namespace muster
