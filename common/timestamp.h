// Times in messages.
#pragma once

#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"

namespace muster {

// To the nanosecond, as Timestamp requires: `nanos` is never negative, not even before 1970. Times that do not fit in 64 bits
// of nanoseconds become the nearest that do.
google::protobuf::Timestamp ToProto(absl::Time time);
absl::Time FromProto(const google::protobuf::Timestamp& time);

}  // namespace muster
