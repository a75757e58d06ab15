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

// Which items a page has. Usage: for each item whose name is above after(), in order: stop if full(), else Count it.
class NamePage {
 public:
  // `page_size` 0: kMaxPageSize. INVALID_ARGUMENT: a token of something else.
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

}  // namespace muster
