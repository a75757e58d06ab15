// UTF-8 in and out.
#pragma once

#include <unicode/umachine.h>
#include <unicode/utf8.h>

#include <string>
#include <string_view>

namespace muster {

// Returns the code point at `text[i]`, and moves `i` past it. `text` must be UTF-8.
inline UChar32 NextCodePoint(std::string_view text, size_t& i) {
  UChar32 c;
  U8_NEXT_UNSAFE(text.data(), i, c);
  return c;
}

// Returns the code point that ends before `text[i]`, and moves `i` to its first byte. `text` must be UTF-8.
inline UChar32 PreviousCodePoint(std::string_view text, size_t& i) {
  UChar32 c;
  U8_PREV_UNSAFE(text.data(), i, c);
  return c;
}

inline void AppendUtf8(UChar32 c, std::string& out) {
  if (c < 0x80) {
    out.push_back(static_cast<char>(c));
    return;
  }
  char bytes[U8_MAX_LENGTH];
  int32_t size = 0;
  U8_APPEND_UNSAFE(bytes, size, c);
  out.append(bytes, size);
}

inline bool IsAscii(char c) { return static_cast<unsigned char>(c) < 0x80; }
inline bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

bool IsUtf8(std::string_view text);
// The text with U+FFFD in place of invalid UTF-8.
std::string RepairUtf8(std::string_view text);
size_t CountCodePoints(std::string_view text);

}  // namespace muster
