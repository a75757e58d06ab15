#include "client/words.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"

namespace muster {
namespace {

// WorkerState → WORKER_STATE_
std::string PrefixOf(const google::protobuf::EnumDescriptor& type) {
  std::string prefix;
  for (const char c : type.name()) {
    if (absl::ascii_isupper(c) && !prefix.empty()) prefix += '_';
    prefix += absl::ascii_toupper(c);
  }
  return prefix + "_";
}

}  // namespace

std::string WordOf(const google::protobuf::EnumValueDescriptor& value) {
  const std::string prefix = PrefixOf(*value.type());
  const std::string& name = value.name();
  if (name == prefix + "UNSPECIFIED") return "default";
  return absl::AsciiStrToLower(absl::StartsWith(name, prefix) ? name.substr(prefix.size()) : name);
}

std::string WithThousands(uint64_t number) {
  std::string digits = absl::StrCat(number);
  for (int i = static_cast<int>(digits.size()) - 3; i > 0; i -= 3) digits.insert(i, ",");
  return digits;
}

std::string SizeText(uint64_t bytes) {
  if (bytes < 1000) return absl::StrCat(bytes, " B");
  double size = static_cast<double>(bytes);
  for (const char* unit : {"kB", "MB", "GB", "TB"}) {
    size /= 1000;
    if (size < 999.95) return absl::StrFormat("%.1f %s", size, unit);
  }
  return absl::StrFormat("%.1f PB", size / 1000);
}

std::string DurationText(double seconds) {
  if (!(seconds >= 0)) return "-";
  if (seconds < 10) return absl::StrFormat("%.1f s", seconds);
  const int64_t whole = std::llround(std::min(seconds, 1e12));
  if (whole < 60) return absl::StrCat(whole, " s");
  if (whole < 3600) return absl::StrFormat("%d:%02d", whole / 60, whole % 60);
  return absl::StrFormat("%d:%02d:%02d", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string TimeText(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) return "-";
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", absl::FromUnixSeconds(time.seconds()), absl::LocalTimeZone());
}

std::string AgeText(const google::protobuf::Timestamp& time, absl::Time now) {
  if (time.seconds() == 0) return "-";
  const int64_t seconds = absl::ToInt64Seconds(now - absl::FromUnixSeconds(time.seconds()));
  if (seconds < -60) return TimeText(time);
  if (seconds <= 0) return "now";
  if (seconds < 60) return absl::StrCat(seconds, " s ago");
  if (seconds < 3600) return absl::StrCat(seconds / 60, " min ago");
  if (seconds < 48 * 3600) return absl::StrCat(seconds / 3600, " h ago");
  return absl::StrCat(seconds / (24 * 3600), " days ago");
}

int ColumnsOf(const std::string& text) {
  int columns = 0;
  bool escape = false;
  for (const char c : text) {
    if (c == '\033') escape = true;
    columns += !escape && (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    if (escape && absl::ascii_isalpha(c)) escape = false;
  }
  return columns;
}

std::string FitText(const std::string& text, int columns) {
  if (ColumnsOf(text) <= columns) return text;
  size_t bytes = 0;
  for (int used = 0; bytes < text.size(); ++bytes) {
    const bool begins = (static_cast<unsigned char>(text[bytes]) & 0xC0) != 0x80;
    if (begins && ++used >= columns) break;
  }
  return text.substr(0, bytes) + "…";
}

std::string Plural(uint64_t count, const std::string& noun) {
  if (count == 1) return absl::StrCat("1 ", noun);
  const bool ends_in_y = absl::EndsWith(noun, "y");
  return absl::StrCat(WithThousands(count), " ", ends_in_y ? noun.substr(0, noun.size() - 1) : noun,
                      ends_in_y ? "ies" : "s");
}

}  // namespace muster
