// Splits a file that comes in pieces into records: its lines, or the elements of a JSON array.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "coordinator/data/import/line_splitter.h"

namespace muster {

// Not thread-safe. Elements of a JSON array, which may span several lines; each comes with the line of its first
// character. Only the end of an element is found here; its content is not checked.
class JsonArraySplitter {
 public:
  // `bare`: objects one after the other, without an array around them.
  JsonArraySplitter(std::string file, bool bare, LineSplitter::Sink sink)
      : file_(std::move(file)), sink_(std::move(sink)), bare_(bare), state_(bare ? State::kNext : State::kBefore) {}

  // INVALID_ARGUMENT for an element above LineSplitter::kMaxLine bytes, and for content that is not an array.
  absl::Status Feed(std::string_view bytes);
  absl::Status Finish();

 private:
  enum class State { kBefore, kFirst, kNext, kElement, kAfter, kEnd };
  absl::Status Take(char c);
  absl::Status TakeOfElement(char c);
  absl::Status EndElement();
  absl::Status CheckSize() const;
  absl::Status Unexpected(char c) const;

  const std::string file_;
  const LineSplitter::Sink sink_;
  const bool bare_;
  State state_;
  std::string element_;
  uint64_t line_ = 1, first_line_ = 1;  // of the element
  int depth_ = 0;                       // of brackets in the element
  bool in_string_ = false, escaped_ = false;
};

// Not thread-safe. Where `may_be_json`: an array if the first character is "[", and objects over several lines if the first
// line opens one and ends where such a line breaks, after a bracket, comma or colon. Otherwise lines.
class RecordSplitter {
 public:
  RecordSplitter(std::string file, bool may_be_json, LineSplitter::Sink sink)
      : may_be_json_(may_be_json), lines_(file, sink), array_(file, false, sink), objects_(file, true, sink) {}

  absl::Status Feed(std::string_view bytes);
  absl::Status Finish();

 private:
  enum class Kind { kUnknown, kLines, kArray, kObjects };
  std::optional<Kind> KindOf(std::string_view head) const;
  absl::Status FeedDecided(std::string_view bytes);
  const bool may_be_json_;
  Kind kind_ = Kind::kUnknown;
  std::string head_;  // until the form of the file is known
  LineSplitter lines_;
  JsonArraySplitter array_, objects_;
};

}  // namespace muster
