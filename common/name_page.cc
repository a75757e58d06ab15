#include "common/name_page.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace muster {

constexpr absl::string_view kPrefix = "after:";

absl::StatusOr<NamePage> NamePage::Create(uint32_t page_size, const std::string& page_token) {
  if (!page_token.empty() && !absl::StartsWith(page_token, kPrefix)) {
    return absl::InvalidArgumentError(
        absl::StrCat("page_token: \"", page_token, "\" is not one that this list returned. Leave it empty."));
  }
  NamePage page;
  page.after_ = std::string(absl::StripPrefix(page_token, kPrefix));
  if (page_size > 0) page.size_ = std::min(page_size, kMaxPageSize);
  return page;
}

void NamePage::Count(absl::string_view name, size_t bytes) {
  last_ = std::string(name);
  ++items_;
  bytes_ += bytes;
}

std::string NamePage::next_token() const { return absl::StrCat(kPrefix, last_); }

}  // namespace muster
