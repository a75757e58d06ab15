// Parses JSON text into records, and explains what is wrong with other text.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "coordinator/data/import/record.h"

namespace muster {

// Not thread-safe. Keeps its buffers from one text to the next.
class JsonParser {
 public:
  JsonParser();
  ~JsonParser();

  // One JSON value in UTF-8. Its texts are valid until the next call. INVALID_ARGUMENT says what is wrong, and at which byte of
  // the text: invalid UTF-8, NUL, NaN, an early end. Half of a surrogate pair is read as U+FFFD and counted.
  absl::Status Parse(std::string_view text, InputRecord& record);
  // The same, and it must be an object.
  absl::Status ParseObject(std::string_view text, InputRecord& record);

  uint64_t replaced_characters() const { return replaced_; }

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::string repaired_;
  uint64_t replaced_ = 0;
};

}  // namespace muster
