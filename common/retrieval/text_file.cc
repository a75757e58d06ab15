#include "common/retrieval/text_file.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {

absl::StatusOr<std::string> ReadTextFile(const std::string& file) {
  std::error_code error;
  if (std::filesystem::is_directory(file, error)) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": is a folder. Name the file in it."));
  }
  errno = 0;
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> in(gzopen(file.c_str(), "rb"), gzclose);  // also reads plain files
  if (in == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": cannot be opened: ", std::strerror(errno), ". Check the path."));
  }
  gzbuffer(in.get(), 256 << 10);
  std::string text;
  constexpr size_t kChunk = 4 << 20;
  int count = 0;
  do {
    const size_t size = text.size();
    text.resize(size + kChunk);
    count = gzread(in.get(), text.data() + size, kChunk);
    text.resize(size + static_cast<size_t>(std::max(count, 0)));
  } while (count > 0);
  int code = Z_OK;
  const char* message = gzerror(in.get(), &code);  // Z_BUF_ERROR: the end of a gzip file is missing
  if (count < 0 || (code != Z_OK && code != Z_STREAM_END)) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": cannot be read: ",
                                                   code == Z_ERRNO ? std::strerror(errno) : message,
                                                   ". Is it complete? Copy it again."));
  }
  if (absl::StartsWith(text, "\xEF\xBB\xBF")) text.erase(0, 3);
  if (absl::StripAsciiWhitespace(text).empty()) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": is empty. Did the program that writes it succeed?"));
  }
  return text;
}

absl::Status ForEachLine(const std::string& file, std::string_view text,
                         const std::function<absl::Status(std::string_view line, uint32_t number)>& take) {
  uint32_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = text.substr(begin, end - begin);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    begin = end + 1;
    ++number;
    if (absl::StripAsciiWhitespace(ToAbsl(line)).empty()) continue;
    if (const absl::Status status = take(line, number); !status.ok()) {
      return absl::Status(status.code(), absl::StrCat(file, ":", number, ": ", status.message()));
    }
  }
  return absl::OkStatus();
}

std::string QuotedId(std::string_view id) {
  constexpr size_t kMost = 60;
  const std::string shown = absl::Utf8SafeCHexEscape(ToAbsl(id.substr(0, kMost)));
  return absl::StrCat("\"", shown, id.size() > kMost ? "…" : "", "\"");
}

}  // namespace muster
