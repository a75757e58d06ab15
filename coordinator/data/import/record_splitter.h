// Records of a file that comes in pieces: its lines, or the elements of the one JSON array that it is.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "coordinator/data/import/line_splitter.h"

namespace muster {

// Not thread-safe. Elements of a JSON array, which may run over several lines; each is handed on with the line of its
// first character. What an element holds is not judged, only where it ends.
class JsonArraySplitter {
 public:
  JsonArraySplitter(std::string file, LineSplitter::Sink sink) : file_(std::move(file)), sink_(std::move(sink)) {}

  // INVALID_ARGUMENT for an element above LineSplitter::kMaxLine bytes, and for what is no array.
  absl::Status Feed(std::string_view bytes);
  absl::Status Finish();

 private:
  enum class State { kBefore, kFirst, kNext, kElement, kAfter, kEnd };
  absl::Status Take(char c);
  absl::Status TakeOfElement(char c);
  absl::Status EndElement();
  absl::Status Unexpected(char c) const;

  const std::string file_;
  const LineSplitter::Sink sink_;
  State state_ = State::kBefore;
  std::string element_;
  uint64_t line_ = 1, first_line_ = 1;  // of the element
  int depth_ = 0;                       // of brackets in the element
  bool in_string_ = false, escaped_ = false;
};

// Not thread-safe. An array where the first character is "[" and `may_be_array`; otherwise lines.
class RecordSplitter {
 public:
  RecordSplitter(std::string file, bool may_be_array, LineSplitter::Sink sink)
      : may_be_array_(may_be_array), lines_(file, sink), array_(file, sink) {}

  absl::Status Feed(std::string_view bytes);
  absl::Status Finish();

 private:
  enum class Kind { kUnknown, kLines, kArray };
  const bool may_be_array_;
  Kind kind_ = Kind::kUnknown;
  std::string head_;  // white space, until another character decides
  LineSplitter lines_;
  JsonArraySplitter array_;
};

}  // namespace muster
