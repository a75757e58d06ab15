// Where the delimiters go when a text is split.
// Source: huggingface/tokenizers, tokenizer/normalizer.rs (SplitDelimiterBehavior).
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace muster {

enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

// A part of a text, and whether it is a delimiter. Parts cover the text in order.
struct Part {
  size_t begin, end;
  bool delimiter;
};

// Joins and drops parts as the behavior says.
void ApplyBehavior(SplitBehavior behavior, std::vector<Part>& parts);

// INVALID_ARGUMENT for an unknown name.
absl::StatusOr<SplitBehavior> SplitBehaviorOf(std::string_view name);

}  // namespace muster
