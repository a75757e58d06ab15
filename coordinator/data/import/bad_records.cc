#include "coordinator/data/import/bad_records.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {

absl::Status BadRecords::Add(const Place& place, std::string_view what) {
  constexpr size_t kKept = 20;
  ++count_;
  const std::string message = absl::StrCat(place.Text(), ": ", ToAbsl(what), ".");
  if (messages_.size() < kKept) messages_.push_back(message);
  if (count_ <= tolerated_) return absl::OkStatus();
  // The number of further bad records is unknown, so the message proposes ten times the number that was too small.
  return WithReason(absl::InvalidArgumentError(absl::StrCat(message, place.is_row ? " Fix the row, or import" : " Fix the line, or import",
                                                            " with --skip-bad ",
                                                            std::max<uint64_t>(1, tolerated_) * 10, ".")),
                    "BAD_RECORD");
}

}  // namespace muster
