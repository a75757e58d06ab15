#include "coordinator/data/import/file_look.h"

#include <algorithm>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/view.h"
#include "coordinator/data/store/normalize.h"

namespace muster {
namespace {

constexpr size_t kShownColumns = 8, kShownBytes = 60;

absl::string_view FirstLine(absl::string_view begin) {
  absl::ConsumePrefix(&begin, "\xEF\xBB\xBF");
  while (!begin.empty() && (begin.front() == '\n' || begin.front() == '\r' || begin.front() == ' '))
    begin.remove_prefix(1);
  const absl::string_view line = begin.substr(0, begin.find('\n'));
  return absl::StripSuffix(line, "\r");
}

// The last character may be cut in the middle.
bool IsText(absl::string_view begin) {
  const size_t invalid = FirstInvalidUtf8(ToStd(begin));
  const bool valid = invalid == std::string_view::npos || invalid + 3 >= kLookBytes;
  return valid && begin.find('\0') == absl::string_view::npos;
}

std::string Columns(absl::string_view line, char separator) {
  std::vector<std::string> columns = absl::StrSplit(line, separator);
  const bool more = columns.size() > kShownColumns;
  if (more) columns.resize(kShownColumns);
  for (std::string& column : columns) column = std::string(absl::StripSuffix(absl::StripPrefix(column, "\""), "\""));
  return absl::StrCat(absl::StrJoin(columns, ", "), more ? ", …" : "");
}

// Keeps only whole characters.
std::string Shown(absl::string_view line) {
  if (line.size() <= kShownBytes) return std::string(line);
  size_t end = kShownBytes;
  while (end > 0 && (static_cast<unsigned char>(line[end]) & 0xC0) == 0x80) --end;
  return absl::StrCat(line.substr(0, end), "…");
}

}  // namespace

std::string LookOfFile(std::string_view begin) {
  const absl::string_view bytes = ToAbsl(begin);
  if (absl::StartsWith(bytes, "PAR1")) return "is a Parquet file";
  if (absl::StartsWith(bytes, "PK\x03\x04")) return "is a zip archive or a spreadsheet: unpack it, or save it as CSV";
  if (absl::StartsWith(bytes, "BZh") || absl::StartsWith(bytes, "\xFD" "7zXZ")) return "is compressed with bzip2 or xz: decompress it, or use gzip or zstd";
  if (bytes.size() > 262 && bytes.substr(257, 5) == "ustar") return "is a tar archive: unpack it";
  if (absl::StartsWith(bytes, "ARROW1") || absl::StartsWith(bytes, "\xFF\xFF\xFF\xFF")) {
    return "is an Arrow file: write it as Parquet, with Python: datasets.load_from_disk(FOLDER).to_parquet(\"rows.parquet\")";
  }
  if (absl::StartsWith(bytes, "%PDF")) return "is a PDF file";
  if (!IsText(bytes)) return "is binary, or not in UTF-8";
  const absl::string_view line = FirstLine(bytes);
  if (line.empty()) return "is empty";
  if (line.front() == '[') return "looks like a JSON array";
  if (line.front() == '{') return "looks like JSON objects";
  if (absl::StrContains(line, '\t')) return absl::StrCat("looks like TSV with the columns ", Columns(line, '\t'));
  if (absl::StrContains(line, ',')) return absl::StrCat("looks like CSV with the columns ", Columns(line, ','));
  return absl::StrCat("looks like text that begins \"", Shown(line), "\"");
}

}  // namespace muster
