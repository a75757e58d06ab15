#include "coordinator/data/tokenize/split_behavior.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/view.h"

namespace muster {
namespace {

// Goes from left to right and appends each part, or joins it to the previous one if `joins` says so.
template <typename Joins>
void Fold(std::vector<Part>& parts, bool from_right, Joins joins) {
  if (from_right) std::ranges::reverse(parts);
  std::vector<Part> folded;
  bool previous = false;  // the previous part was a delimiter
  for (const Part& part : parts) {
    if (!folded.empty() && joins(part.delimiter, previous)) {
      folded.back().begin = std::min(folded.back().begin, part.begin);
      folded.back().end = std::max(folded.back().end, part.end);
    } else {
      folded.push_back(part);
    }
    previous = part.delimiter;
  }
  if (from_right) std::ranges::reverse(folded);
  parts = std::move(folded);
}

}  // namespace

void ApplyBehavior(SplitBehavior behavior, std::vector<Part>& parts) {
  switch (behavior) {
    case SplitBehavior::kRemoved:
      std::erase_if(parts, [](const Part& part) { return part.delimiter; });
      return;
    case SplitBehavior::kIsolated:
      return;
    case SplitBehavior::kMergedWithPrevious:
      Fold(parts, /*from_right=*/false, [](bool delimiter, bool previous) { return delimiter && !previous; });
      return;
    case SplitBehavior::kMergedWithNext:
      Fold(parts, /*from_right=*/true, [](bool delimiter, bool previous) { return delimiter && !previous; });
      return;
    case SplitBehavior::kContiguous:
      Fold(parts, /*from_right=*/false, [](bool delimiter, bool previous) { return delimiter == previous; });
      return;
  }
}

absl::StatusOr<SplitBehavior> SplitBehaviorOf(std::string_view name) {
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  return absl::InvalidArgumentError(absl::StrCat("\"", ToAbsl(name), "\" is not supported"));
}

}  // namespace muster
