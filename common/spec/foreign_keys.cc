#include "common/spec/foreign_keys.h"

#include <algorithm>
#include <array>
#include <string>

#include "absl/strings/ascii.h"

namespace muster {
namespace {

// Gradient accumulation would split a batch into parts that do not see each other's passages, which is a different loss.
constexpr std::string_view kAccumulation =
    "There is no gradient accumulation: its parts would not see each other's passages as negatives. Set batch.queries to the "
    "queries of a whole update. Memory does not grow with it: batch.micro_batch_tokens bounds what is encoded at once, and "
    "batch.keep_activations the graphs that are kept.";

// Keys of other trainers, in lowercase and without "_".
constexpr auto kAccumulationKeys = std::to_array<std::string_view>(
    {"accumulate", "accumulategradbatches", "accumulategradients", "accumulatesteps", "accumulation", "accumulationsteps",
     "accumsteps", "gradaccum", "gradaccumsteps", "gradaccumulation", "gradaccumulationsteps", "gradientaccumulation",
     "gradientaccumulationsteps"});

}  // namespace

std::string_view RemedyForKey(std::string_view key) {
  std::string plain;
  for (const char c : key) {
    if (c != '_' && c != '-') plain += absl::ascii_tolower(static_cast<unsigned char>(c));
  }
  return std::ranges::find(kAccumulationKeys, plain) != kAccumulationKeys.end() ? kAccumulation : std::string_view();
}

}  // namespace muster
