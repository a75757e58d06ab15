// Serializes messages for comparison: in one build equal messages give equal bytes, even if they contain maps.
#pragma once

#include <google/protobuf/message_lite.h>

#include <string>

namespace muster {

std::string DeterministicBytes(const google::protobuf::MessageLite& message);

}  // namespace muster
