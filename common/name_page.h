// Pages of a list that is sorted by name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace muster {

// An answer stops growing here: gRPC clients receive messages of at most 4 MiB by default.
inline constexpr size_t kPageBytes = 2 << 20;
inline constexpr uint32_t kMaxPageSize = 1000;

// Decides which items a page has. Lists use it through FillPage.
class NamePage {
 public:
  // `page_size` 0: kMaxPageSize. INVALID_ARGUMENT: the token is malformed.
  static absl::StatusOr<NamePage> Create(uint32_t page_size, const std::string& page_token);

  const std::string& after() const { return after_; }  // empty: from the first
  bool full() const { return items_ >= size_ || bytes_ >= kPageBytes; }
  void Count(absl::string_view name, size_t bytes);
  // The token of the next page, once this one is full and there are more items.
  std::string next_token() const;

 private:
  std::string after_, last_;
  size_t size_ = kMaxPageSize, items_ = 0, bytes_ = 0;
};

// Fills one page of `items`, which are sorted by name. `name_of(item)` returns an item's name. `add(item)` appends the item to
// the answer, may move from it, and returns the item's size in bytes. It returns 0 if it skipped the item; skipped items do
// not count. Returns the token of the next page; empty: there are no more. With `all` the page has all items, whatever the
// requested size.
template <typename Request, typename Items, typename NameOf, typename Add>
absl::StatusOr<std::string> FillPage(const Request& request, Items& items, NameOf name_of, Add add, bool all = false) {
  absl::StatusOr<NamePage> page = NamePage::Create(request.page_size(), request.page_token());
  if (!page.ok()) return page.status();
  for (auto& item : items) {
    const std::string name = name_of(item);
    if (name <= page->after()) continue;
    if (page->full() && !all) return page->next_token();
    if (const size_t bytes = add(item); bytes > 0) page->Count(name, bytes);
  }
  return std::string();
}

}  // namespace muster
