// Splits a file that comes in pieces into lines.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace muster {

inline constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";  // of UTF-8

// Not thread-safe. Lines end with LF or CR LF; the last one may have no line end. They are counted from 1. Empty lines
// are left out (but counted), and so is a byte-order mark at the start of the file.
class LineSplitter {
 public:
  using Sink = std::function<absl::Status(uint64_t line, std::string_view text)>;
  static constexpr size_t kMaxLine = 64 << 20;

  // `file` names the file in messages.
  LineSplitter(std::string file, Sink sink) : file_(std::move(file)), sink_(std::move(sink)) {}

  // INVALID_ARGUMENT for a line above kMaxLine bytes.
  absl::Status Feed(std::string_view bytes);
  absl::Status Finish();

 private:
  absl::Status Line(std::string_view text);

  std::string file_;
  Sink sink_;
  std::string rest_;  // the beginning of a line whose end has not been read yet
  uint64_t line_ = 0;
};

}  // namespace muster
