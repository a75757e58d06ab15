#include "common/timestamp.h"

#include <gtest/gtest.h>

namespace muster {
namespace {

TEST(Timestamp, KeepsEveryNanosecond) {
  for (const int64_t nanoseconds : {int64_t{0}, int64_t{1}, int64_t{1700000000123456789}, int64_t{-1}, int64_t{-1500000000}}) {
    const absl::Time time = absl::FromUnixNanos(nanoseconds);
    const google::protobuf::Timestamp message = ToProto(time);
    EXPECT_EQ(FromProto(message), time) << nanoseconds;
    EXPECT_GE(message.nanos(), 0) << nanoseconds;
    EXPECT_LT(message.nanos(), 1000000000) << nanoseconds;
  }
}

}  // namespace
}  // namespace muster
