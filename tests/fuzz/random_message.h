// Protobuf messages from a fuzzer's bytes, by their descriptors.
#pragma once

#include <google/protobuf/message.h>

#include <string>
#include <vector>

#include "tests/fuzz/byte_source.h"

namespace muster {

// Strings that are meaningful to the program under test ("w1", a job's id, …): half of all string fields use one of
// them.
using KnownStrings = std::vector<std::string>;

// Sets fields from the bytes; strings are valid UTF-8 (protobuf refuses others on the wire), enumerations take any
// number, lists have at most 8 entries, and messages nest at most 6 deep.
void FillMessage(ByteSource& source, const KnownStrings& known, google::protobuf::Message& message, int depth = 0);

}  // namespace muster
