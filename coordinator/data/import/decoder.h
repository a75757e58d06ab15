// Decompresses a file; its first bytes tell whether it is gzip, zstd or not compressed.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace muster {

// Not thread-safe. Concatenated gzip members and zstd frames are one file, as in their own tools.
class Decoder {
 public:
  using Sink = std::function<absl::Status(std::string_view)>;
  // `file` names the file in messages.
  Decoder(std::string file, Sink sink);
  ~Decoder();

  absl::Status Feed(std::string_view bytes);
  // The file has ended. INVALID_ARGUMENT if a compressed stream is incomplete.
  absl::Status Finish();

  class Codec;  // one compression, or none

 private:
  absl::Status Begin();

  std::string file_;
  Sink sink_;
  std::string head_;  // the first bytes, until the format is known
  std::unique_ptr<Codec> codec_;
};

}  // namespace muster
