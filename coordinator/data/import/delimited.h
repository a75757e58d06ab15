// CSV and TSV with a header line, by RFC 4180: a quoted field may contain delimiters, line ends and doubled quotes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "coordinator/data/import/record.h"

namespace muster {

// Not thread-safe. The delimiter is whichever of comma, tab and semicolon is most frequent in the header. Each record
// is an object of texts by the header's names.
class DelimitedReader {
 public:
  // `status`: what is wrong with the record, or OK. An error that it returns ends the reading.
  using Sink = std::function<absl::Status(uint64_t line, const absl::Status& status, InputRecord& record)>;
  // `file` names the file in messages.
  DelimitedReader(std::string file, Sink sink) : file_(std::move(file)), sink_(std::move(sink)) {}

  // INVALID_ARGUMENT for a header without names, a quote that does not close, and a record above 64 MiB.
  absl::Status Feed(std::string_view bytes);
  absl::Status Finish();

 private:
  enum class State { kFieldStart, kPlain, kQuoted, kQuoteInQuotes };
  absl::Status Take(char c);
  absl::Status EndRecord();
  absl::Status TakeHeader();
  void EndField();

  const std::string file_;
  const Sink sink_;
  std::string header_;         // the bytes of the header, until its end shows the delimiter
  char delimiter_ = '\0';      // not known yet
  std::vector<std::string> names_;
  State state_ = State::kFieldStart;
  std::string text_;           // of all fields of the record
  std::vector<size_t> ends_;   // of each field in text_
  bool broken_quote_ = false;  // text after a closing quote
  uint64_t line_ = 1, first_line_ = 1, quote_line_ = 1;
  InputRecord record_;
};

// The delimiter that a header line implies; NUL: none.
char DelimiterOf(std::string_view header);

}  // namespace muster
