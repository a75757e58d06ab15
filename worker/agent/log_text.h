// Converts a rank's output to lines that can be sent and shown.
#pragma once

#include <string>
#include <string_view>

namespace muster {

// Replaces NUL, and every byte that is not part of valid UTF-8, with "?": protobuf refuses strings that are not UTF-8.
std::string CleanUtf8(std::string_view bytes);

// Cuts a byte stream into complete, clean lines.
class LineCutter {
 public:
  // A longer line is cut, so that a rank that writes no end of line cannot fill the memory.
  explicit LineCutter(size_t max_line_bytes = 8 << 10) : max_line_bytes_(max_line_bytes) {}

  // Returns the lines that `bytes` completes, each with its end of line.
  std::string Add(std::string_view bytes);
  std::string Finish();  // the rest, as a line

 private:
  size_t max_line_bytes_;
  std::string rest_;
};

// The last complete lines of the added text, at most `max_bytes`. If the last line is longer, only its end.
class LogTail {
 public:
  explicit LogTail(size_t max_bytes = 4096) : max_bytes_(max_bytes) {}
  void Add(std::string_view lines);
  const std::string& text() const { return text_; }

 private:
  size_t max_bytes_;
  std::string text_;
};

}  // namespace muster
