#include "coordinator/data/import/line_splitter.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {

absl::Status LineSplitter::Line(std::string_view text) {
  ++line_;
  if (line_ == 1) text = ToStd(absl::StripPrefix(ToAbsl(text), "\xef\xbb\xbf"));
  text = ToStd(absl::StripSuffix(ToAbsl(text), "\r"));
  return text.empty() ? absl::OkStatus() : sink_(line_, text);
}

absl::Status LineSplitter::Feed(std::string_view bytes) {
  for (size_t end = bytes.find('\n'); end != std::string_view::npos; end = bytes.find('\n')) {
    if (rest_.empty()) {
      RETURN_IF_ERROR(Line(bytes.substr(0, end)));
    } else {
      rest_.append(bytes.substr(0, end));
      RETURN_IF_ERROR(Line(rest_));
      rest_.clear();
    }
    bytes.remove_prefix(end + 1);
  }
  rest_.append(bytes);
  if (rest_.size() <= kMaxLine) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(file_, ":", line_ + 1, ": the line is longer than ", kMaxLine >> 20,
                                                 " MiB. Is the file one record per line?"));
}

absl::Status LineSplitter::Finish() {
  if (rest_.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(Line(rest_));
  rest_.clear();
  return absl::OkStatus();
}

}  // namespace muster
