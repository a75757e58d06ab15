// Records that break their schema's rules: reported with their place, counted, and tolerated up to a number.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "coordinator/data/import/place.h"

namespace muster {

class BadRecords {
 public:
  explicit BadRecords(uint64_t tolerated) : tolerated_(tolerated) {}

  // `what`: what was expected and what was found, without a full stop. OK while bad records are tolerated, then
  // INVALID_ARGUMENT `file:line: what. Fix the line, or import with --skip-bad N.`
  absl::Status Add(const Place& place, std::string_view what);

  uint64_t count() const { return count_; }
  const std::vector<std::string>& messages() const { return messages_; }  // the first 20

 private:
  uint64_t tolerated_;
  uint64_t count_ = 0;
  std::vector<std::string> messages_;
};

}  // namespace muster
