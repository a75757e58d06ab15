#include "coordinator/data/import/delimited.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/import/line_splitter.h"
#include "coordinator/data/store/normalize.h"

namespace muster {
namespace {

constexpr absl::string_view kConvert = ". If the file is in Latin-1 or Windows-1252, convert it: iconv -f WINDOWS-1252 -t UTF-8";

}  // namespace

char DelimiterOf(std::string_view header) {
  char best = '\0';
  size_t most = 0;
  for (const char delimiter : {',', '\t', ';'}) {
    size_t count = 0;
    bool quoted = false;
    for (const char c : header) {
      quoted ^= c == '"';
      count += !quoted && c == delimiter;
    }
    if (count > most) most = count, best = delimiter;
  }
  return best;
}

void DelimitedReader::EndField() {
  ends_.push_back(text_.size());
  state_ = State::kFieldStart;
}

absl::Status DelimitedReader::TakeHeader() {
  size_t begin = 0;
  for (const size_t end : ends_) {
    names_.emplace_back(absl::StripAsciiWhitespace(text_.substr(begin, end - begin)));
    begin = end;
  }
  for (size_t i = 0; i < names_.size(); ++i) {
    const bool twice = std::find(names_.begin(), names_.begin() + static_cast<std::ptrdiff_t>(i), names_[i]) !=
                       names_.begin() + static_cast<std::ptrdiff_t>(i);
    if (!twice && FirstInvalidUtf8(names_[i]) == std::string_view::npos) continue;
    return absl::InvalidArgumentError(absl::StrCat(file_, ":1: the header ", twice ? absl::StrCat("names column \"", names_[i], "\" twice") : "is not in UTF-8",
                                                   ". Correct it: the first line names the columns."));
  }
  return absl::OkStatus();
}

absl::Status DelimitedReader::EndRecord() {
  EndField();
  const uint64_t line = first_line_;
  const bool is_empty = ends_.size() == 1 && text_.empty();
  absl::Status status;
  if (!is_empty && names_.empty()) {
    status = TakeHeader();
  } else if (!is_empty) {
    absl::Status wrong;
    const size_t invalid = FirstInvalidUtf8(text_);
    if (broken_quote_) {
      wrong = absl::InvalidArgumentError(
          "expected the delimiter or the line's end after a closing quote; a quote inside a quoted field is doubled");
    } else if (ends_.size() != names_.size()) {
      wrong = absl::InvalidArgumentError(absl::StrCat("expected ", names_.size(), " fields as in the header (", absl::StrJoin(names_, ", "), "), found ", ends_.size()));
    } else if (invalid != std::string_view::npos) {
      wrong = absl::InvalidArgumentError(absl::StrCat("expected UTF-8, byte ", invalid + 1, " of the record's text is not", kConvert));
    } else if (const size_t nul = text_.find('\0'); nul != std::string::npos) {
      wrong = absl::InvalidArgumentError(absl::StrCat("expected text without NUL, byte ", nul + 1, " of the record's text is NUL (0x00)"));
    }
    record_.Clear();
    record_.untyped = true;
    if (wrong.ok()) {
      record_.Add(InputRecord::Kind::kObject, {});
      size_t begin = 0;
      for (size_t i = 0; i < ends_.size(); ++i) {
        record_.Add(InputRecord::Kind::kText, names_[i], std::string_view(text_).substr(begin, ends_[i] - begin));
        begin = ends_[i];
      }
      record_.Close(0);
    }
    status = sink_(line, wrong, record_);
  }
  text_.clear();
  ends_.clear();
  broken_quote_ = false;
  return status;
}

absl::Status DelimitedReader::Take(char c) {
  switch (state_) {
    case State::kFieldStart:
      if (c == '"') {
        state_ = State::kQuoted;
        quote_line_ = line_;
        return absl::OkStatus();
      }
      state_ = State::kPlain;
      [[fallthrough]];
    case State::kPlain:
      if (c == delimiter_) {
        EndField();
      } else if (c == '\n') {
        if (!text_.empty() && text_.back() == '\r' && (ends_.empty() || ends_.back() < text_.size())) text_.pop_back();
        return EndRecord();
      } else {
        text_ += c;
      }
      return absl::OkStatus();
    case State::kQuoted:
      if (c == '"') {
        state_ = State::kQuoteInQuotes;
      } else {
        text_ += c;
      }
      return absl::OkStatus();
    case State::kQuoteInQuotes:
      if (c == '"') {
        text_ += c;
        state_ = State::kQuoted;
      } else if (c == delimiter_) {
        EndField();
      } else if (c == '\n') {
        return EndRecord();
      } else if (c != '\r') {
        broken_quote_ = true;
        text_ += c;
        state_ = State::kPlain;
      }
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status DelimitedReader::Feed(std::string_view bytes) {
  std::string head;
  if (delimiter_ == '\0') {
    header_ += bytes;
    const size_t end = header_.find('\n');
    if (end == std::string::npos && header_.size() <= LineSplitter::kMaxLine) return absl::OkStatus();
    head = std::exchange(header_, "");
    if (head.starts_with(kByteOrderMark)) head.erase(0, kByteOrderMark.size());
    delimiter_ = DelimiterOf(std::string_view(head).substr(0, head.find('\n')));
    if (delimiter_ == '\0') {
      return absl::InvalidArgumentError(absl::StrCat(file_, ":1: expected a header that names at least two columns, separated by commas, tabs or semicolons."));
    }
    bytes = head;
  }
  for (const char c : bytes) {
    if (state_ == State::kFieldStart && ends_.empty()) first_line_ = line_;
    RETURN_IF_ERROR(Take(c));
    line_ += c == '\n';
    if (text_.size() > LineSplitter::kMaxLine) {
      return absl::InvalidArgumentError(absl::StrCat(file_, ":", first_line_, ": a record above ", LineSplitter::kMaxLine >> 20, " MiB. Is a quote missing?"));
    }
  }
  return absl::OkStatus();
}

absl::Status DelimitedReader::Finish() {
  if (delimiter_ == '\0') {
    if (header_.empty()) return absl::OkStatus();
    RETURN_IF_ERROR(Feed("\n"));
  }
  if (state_ == State::kQuoted) {
    return absl::InvalidArgumentError(absl::StrCat(file_, ":", quote_line_, ": a quote opens here and does not close before the file's end. Close it, or double a quote that is part of the text and put the field in quotes."));
  }
  if (state_ == State::kFieldStart && ends_.empty()) return absl::OkStatus();
  return Take('\n');
}

}  // namespace muster
