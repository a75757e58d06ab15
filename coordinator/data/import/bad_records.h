// Records that break their schema's rules: named by file and line, counted, tolerated up to a number.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace muster {

class BadRecords {
 public:
  explicit BadRecords(uint64_t tolerated) : tolerated_(tolerated) {}

  // `what`: what was expected and what was found, without a full stop. OK while bad records are tolerated, then
  // INVALID_ARGUMENT `file:line: what. Fix the line, or import with --skip-bad N.`
  absl::Status Add(std::string_view file, uint64_t line, std::string_view what);

  uint64_t count() const { return count_; }
  const std::vector<std::string>& messages() const { return messages_; }  // the first 20

 private:
  uint64_t tolerated_;
  uint64_t count_ = 0;
  std::vector<std::string> messages_;
};

}  // namespace muster
