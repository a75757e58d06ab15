#include "client/html_text.h"

namespace muster {

size_t DeceptiveBytesAt(absl::string_view text, size_t begin) {
  const absl::string_view rest = text.substr(begin);
  if (rest.empty()) return 0;
  const auto byte = [rest](size_t i) { return i < rest.size() ? static_cast<unsigned char>(rest[i]) : 0u; };
  if (byte(0) == 0x7F || (byte(0) < 0x20 && byte(0) != '\n' && byte(0) != '\t')) return 1;
  if (byte(0) == 0xC2 && byte(1) >= 0x80 && byte(1) <= 0x9F) return 2;  // U+0080 to U+009F: control characters
  if (byte(0) == 0xD8 && byte(1) == 0x9C) return 2;                     // U+061C: a mark of direction
  if (byte(0) == 0xE2 && byte(1) == 0x80 && (byte(2) == 0x8E || byte(2) == 0x8F)) return 3;  // U+200E, U+200F: the same
  if (byte(0) == 0xE2 && byte(1) == 0x80 && byte(2) >= 0xA8 && byte(2) <= 0xAE) return 3;    // lines; U+202A…: overrides
  if (byte(0) == 0xE2 && byte(1) == 0x81 && byte(2) >= 0xA6 && byte(2) <= 0xA9) return 3;    // U+2066 to U+2069: isolates
  return 0;
}

std::string EscapedHtml(absl::string_view text) {
  std::string html;
  for (size_t i = 0; i < text.size(); ++i) {
    if (const size_t bytes = DeceptiveBytesAt(text, i); bytes > 0) {
      html += "\uFFFD";
      i += bytes - 1;
      continue;
    }
    switch (text[i]) {
      case '&': html += "&amp;"; break;
      case '<': html += "&lt;"; break;
      case '>': html += "&gt;"; break;
      case '"': html += "&quot;"; break;
      case '\'': html += "&#39;"; break;
      default: html += text[i];
    }
  }
  return html;
}

}  // namespace muster
