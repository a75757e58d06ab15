// Serialized messages as identity: equal messages of one build give equal bytes, maps included.
#pragma once

#include <google/protobuf/message_lite.h>

#include <string>

namespace muster {

std::string DeterministicBytes(const google::protobuf::MessageLite& message);

}  // namespace muster
