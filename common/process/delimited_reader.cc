#include "common/process/delimited_reader.h"

#include <cstdint>

#include "absl/strings/str_cat.h"

namespace muster {

absl::StatusOr<bool> DelimitedReader::Next(google::protobuf::MessageLite& message) {
  uint64_t length = 0;
  size_t header = 0;
  for (bool more = true; more; ++header) {
    if (header == 5) return absl::DataLossError("a message's length is not a varint of 32 bits");
    if (header == buffer_.size()) return false;
    const uint8_t byte = static_cast<uint8_t>(buffer_[header]);
    length |= uint64_t{byte & 0x7Fu} << (7 * header);
    more = (byte & 0x80) != 0;
  }
  if (length > max_message_bytes_) {
    return absl::DataLossError(
        absl::StrCat("a message of ", length, " bytes, at most ", max_message_bytes_, " are allowed"));
  }
  if (buffer_.size() - header < length) return false;
  if (!message.ParseFromArray(buffer_.data() + header, static_cast<int>(length))) {
    return absl::DataLossError(absl::StrCat("a message of ", length, " bytes is no ", message.GetTypeName()));
  }
  buffer_.erase(0, header + length);
  return true;
}

std::string Delimited(const google::protobuf::MessageLite& message) {
  std::string bytes = message.SerializeAsString();
  std::string header;
  for (uint64_t rest = bytes.size();; rest >>= 7) {
    header.push_back(static_cast<char>((rest & 0x7F) | (rest > 0x7F ? 0x80 : 0)));
    if (rest <= 0x7F) break;
  }
  return header + bytes;
}

}  // namespace muster
