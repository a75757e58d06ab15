#include "worker/agent/log_text.h"

#include <algorithm>
#include <cstdint>

namespace muster {
namespace {

// Length of the valid UTF-8 sequence at the start of `bytes`; 0: none. Source: Unicode 15, table 3-7.
size_t SequenceLength(std::string_view bytes) {
  const auto at = [&](size_t i) { return i < bytes.size() ? static_cast<uint8_t>(bytes[i]) : uint8_t{0}; };
  const auto tail = [&](size_t i) { return (at(i) & 0xC0) == 0x80; };
  const uint8_t first = at(0), second = at(1);
  if (first < 0x80) return first == 0 ? 0 : 1;
  if (first >= 0xC2 && first <= 0xDF) return tail(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const bool overlong = first == 0xE0 && second < 0xA0, surrogate = first == 0xED && second > 0x9F;
    return tail(1) && tail(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const bool overlong = first == 0xF0 && second < 0x90, beyond = first == 0xF4 && second > 0x8F;
    return tail(1) && tail(2) && tail(3) && !overlong && !beyond ? 4 : 0;
  }
  return 0;
}

}  // namespace

std::string CleanUtf8(std::string_view bytes) {
  std::string clean;
  clean.reserve(bytes.size());
  while (!bytes.empty()) {
    const size_t length = SequenceLength(bytes);
    if (length == 0) clean.push_back('?');
    clean.append(bytes.substr(0, length));
    bytes.remove_prefix(length == 0 ? 1 : length);
  }
  return clean;
}

std::string LineCutter::Add(std::string_view bytes) {
  std::string lines;
  for (size_t end; (end = bytes.find('\n')) != std::string_view::npos; bytes.remove_prefix(end + 1)) {
    rest_.append(bytes.substr(0, end));
    lines += rest_.empty() ? "\n" : Finish();
  }
  rest_.append(bytes);
  if (rest_.size() > max_line_bytes_) lines += Finish();
  return lines;
}

std::string LineCutter::Finish() {
  std::string lines;
  for (std::string_view left = rest_; !left.empty();) {
    const size_t length = std::min(left.size(), max_line_bytes_);
    lines += CleanUtf8(left.substr(0, length));
    lines.push_back('\n');
    left.remove_prefix(length);
  }
  rest_.clear();
  return lines;
}

void LogTail::Add(std::string_view lines) {
  text_.append(lines);
  if (text_.size() <= max_bytes_) return;
  const size_t least = text_.size() - max_bytes_;
  const size_t end = text_.find('\n', least - 1);
  // Keeps the end of a last line above the limit, starting at a character.
  size_t cut = end == std::string::npos || end + 1 == text_.size() ? least : end + 1;
  while (cut < text_.size() && (static_cast<unsigned char>(text_[cut]) & 0xC0) == 0x80) ++cut;
  text_.erase(0, cut);
}

}  // namespace muster
