// Reads protobuf messages from a byte stream in which a varint before each message gives its length (as written by
// google/protobuf/util/delimited_message_util.h).
#pragma once

#include <google/protobuf/message_lite.h>

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace muster {

class DelimitedReader {
 public:
  explicit DelimitedReader(size_t max_message_bytes = 16 << 20) : max_message_bytes_(max_message_bytes) {}

  void Append(std::string_view bytes) { buffer_.append(bytes); }

  // Moves the next complete message into `message`. False: more bytes are needed. DATA_LOSS: the stream is corrupt, and
  // nothing after this point can be read.
  absl::StatusOr<bool> Next(google::protobuf::MessageLite& message);

 private:
  size_t max_message_bytes_;
  std::string buffer_;
};

// `message` in the form that DelimitedReader reads.
std::string Delimited(const google::protobuf::MessageLite& message);

}  // namespace muster
