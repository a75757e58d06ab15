#include "common/nearest_name.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/view.h"

namespace muster {
namespace {

// Levenshtein's distance: insertions, deletions and replacements.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string NearestName(std::string_view name, const std::vector<std::string>& names) {
  const std::string lower = absl::AsciiStrToLower(ToAbsl(name));
  std::string nearest;
  size_t least = (name.size() <= 3 ? 1 : std::max<size_t>(2, name.size() / 3)) + 1;
  for (const std::string& candidate : names) {
    const size_t distance = EditDistance(lower, absl::AsciiStrToLower(candidate));
    if (distance < least) {
      least = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

std::string AllowedNames(std::string_view wrong, const std::vector<std::string>& names) {
  const std::string nearest = wrong.empty() ? "" : NearestName(wrong, names);
  return absl::StrCat("Allowed: ", absl::StrJoin(names, ", "), ".",
                      nearest.empty() ? "" : absl::StrCat(" Did you mean \"", nearest, "\"?"));
}

std::string WhatExists(std::string_view name, const std::vector<std::string>& names) {
  constexpr size_t kShown = 10;
  if (names.empty()) return "There are none.";
  const std::vector<std::string> shown(names.begin(), names.begin() + std::min(names.size(), kShown));
  std::string text = absl::StrCat("There are: ", absl::StrJoin(shown, ", "));
  if (names.size() > kShown) absl::StrAppend(&text, " and ", names.size() - kShown, " more");
  absl::StrAppend(&text, ".");
  const std::string nearest = NearestName(name, names);
  if (!nearest.empty()) absl::StrAppend(&text, " Did you mean \"", nearest, "\"?");
  return text;
}

}  // namespace muster
