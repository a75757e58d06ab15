#include "common/timestamp.h"

#include <cstdint>

namespace muster {

google::protobuf::Timestamp ToProto(absl::Time time) {
  constexpr int64_t kSecond = 1'000'000'000;
  const int64_t nanoseconds = absl::ToUnixNanos(time);
  const int64_t rest = (nanoseconds % kSecond + kSecond) % kSecond;
  google::protobuf::Timestamp result;
  result.set_seconds((nanoseconds - rest) / kSecond);
  result.set_nanos(static_cast<int32_t>(rest));
  return result;
}

absl::Time FromProto(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

}  // namespace muster
