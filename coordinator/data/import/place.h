// The place of a record, for messages.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "common/view.h"

namespace muster {

struct Place {
  std::string_view path;
  uint64_t number = 0;  // the line, or the row in a file without lines (Parquet); both counted from 1
  bool is_row = false;

  std::string Text() const { return absl::StrCat(ToAbsl(path), is_row ? ", row " : ":", number); }
};

}  // namespace muster
