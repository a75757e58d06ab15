#include "coordinator/data/import/record_splitter.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/view.h"

namespace muster {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

}  // namespace

absl::Status JsonArraySplitter::Unexpected(char c) const {
  if (bare_) {
    return absl::InvalidArgumentError(absl::StrCat(file_, ":", line_, ": expected a JSON object, found \"", std::string(1, c),
                                                   "\". Correct the file: it cannot be read past such a place."));
  }
  return absl::InvalidArgumentError(absl::StrCat(file_, ":", line_, ": expected ",
                                                 state_ == State::kAfter ? "\",\" or \"]\" between" : "nothing after",
                                                 " the objects of the JSON array, found \"", std::string(1, c),
                                                 "\". Correct the file: an array cannot be read past such a place."));
}

absl::Status JsonArraySplitter::EndElement() {
  const std::string element = std::exchange(element_, "");
  state_ = State::kAfter;
  return sink_(first_line_, element);
}

absl::Status JsonArraySplitter::TakeOfElement(char c) {
  if (in_string_) {
    element_ += c;
    in_string_ = escaped_ || c != '"';
    escaped_ = !escaped_ && c == '\\';
  } else if (depth_ == 0 && (c == ',' || c == ']' || IsSpace(c))) {  // the end of a number, string or word
    if (const absl::Status status = EndElement(); !status.ok()) return status;
    return Take(c);
  } else {
    element_ += c;
    in_string_ = c == '"';
    depth_ += (c == '{' || c == '[') - (c == '}' || c == ']');
    if (depth_ <= 0 && (c == '}' || c == ']')) {
      depth_ = 0;
      return EndElement();
    }
  }
  return CheckSize();
}

absl::Status JsonArraySplitter::CheckSize() const {
  if (element_.size() <= LineSplitter::kMaxLine) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(file_, ":", first_line_, ": a record above ",
                                                 LineSplitter::kMaxLine >> 20, " MiB. Is a bracket or quote missing?"));
}

absl::Status JsonArraySplitter::Take(char c) {
  if (state_ == State::kElement) return TakeOfElement(c);
  if (IsSpace(c)) return absl::OkStatus();
  switch (state_) {
    case State::kBefore:
      state_ = State::kFirst;
      return absl::OkStatus();  // the "["
    case State::kFirst:
      if (c == ']') {
        state_ = State::kEnd;
        return absl::OkStatus();
      }
      [[fallthrough]];
    case State::kNext:
      if (bare_ && (c == ',' || c == ']')) return Unexpected(c);
      state_ = State::kElement;
      first_line_ = line_;
      return TakeOfElement(c);
    case State::kAfter:
      if (bare_) {  // with or without a comma between the objects
        state_ = State::kNext;
        return c == ',' ? absl::OkStatus() : Take(c);
      }
      if (c != ',' && c != ']') return Unexpected(c);
      state_ = c == ',' ? State::kNext : State::kEnd;
      return absl::OkStatus();
    case State::kElement:
    case State::kEnd:
      break;
  }
  return Unexpected(c);
}

absl::Status JsonArraySplitter::Feed(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (state_ == State::kElement && in_string_ && !escaped_) {  // most bytes belong to strings
      const size_t begin = i;
      while (i < bytes.size() && bytes[i] != '"' && bytes[i] != '\\' && bytes[i] != '\n') ++i;
      element_.append(bytes.substr(begin, i - begin));
      if (absl::Status status = CheckSize(); !status.ok()) return status;
      if (i == bytes.size()) break;
    }
    if (absl::Status status = Take(bytes[i]); !status.ok()) return status;
    line_ += bytes[i] == '\n';
  }
  return absl::OkStatus();
}

absl::Status JsonArraySplitter::Finish() {
  if (state_ == State::kEnd || (bare_ && state_ != State::kElement)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(file_, ":", bare_ ? first_line_ : line_, ": the JSON ",
                                                 bare_ ? "object that begins here" : "array",
                                                 " has no end. Is the file complete?"));
}

// Nothing: more bytes are needed.
std::optional<RecordSplitter::Kind> RecordSplitter::KindOf(std::string_view head) const {
  if (!may_be_json_) return Kind::kLines;
  if (kByteOrderMark.starts_with(head.substr(0, kByteOrderMark.size()))) {
    if (head.size() < kByteOrderMark.size()) return std::nullopt;
    head.remove_prefix(kByteOrderMark.size());
  }
  while (!head.empty() && IsSpace(head.front())) head.remove_prefix(1);
  if (head.empty()) return std::nullopt;
  if (head.front() == '[') return Kind::kArray;
  if (head.front() != '{') return Kind::kLines;
  const size_t end = head.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  std::string_view line = head.substr(0, end);
  while (IsSpace(line.back())) line.remove_suffix(1);
  return std::string_view("{[,:").find(line.back()) == std::string_view::npos ? Kind::kLines : Kind::kObjects;
}

absl::Status RecordSplitter::FeedDecided(std::string_view bytes) {
  switch (kind_) {
    case Kind::kUnknown:
    case Kind::kLines: return lines_.Feed(bytes);
    case Kind::kArray: return array_.Feed(bytes);
    case Kind::kObjects: return objects_.Feed(bytes);
  }
  return absl::OkStatus();
}

absl::Status RecordSplitter::Feed(std::string_view bytes) {
  if (kind_ != Kind::kUnknown) return FeedDecided(bytes);
  head_ += bytes;
  std::optional<Kind> kind = KindOf(head_);
  if (!kind.has_value() && head_.size() < LineSplitter::kMaxLine) return absl::OkStatus();
  kind_ = kind.value_or(Kind::kLines);
  const std::string head = std::exchange(head_, "");
  const bool marked = kind_ != Kind::kLines && head.starts_with(kByteOrderMark);  // LineSplitter leaves it out
  return FeedDecided(std::string_view(head).substr(marked ? kByteOrderMark.size() : 0));
}

absl::Status RecordSplitter::Finish() {
  if (kind_ == Kind::kArray) return array_.Finish();
  if (kind_ == Kind::kObjects) return objects_.Finish();
  if (const absl::Status status = lines_.Feed(head_); !status.ok()) return status;
  return lines_.Finish();
}

}  // namespace muster
