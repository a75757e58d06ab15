#include "common/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster {
namespace {

TEST(Address, IsAHostAndAPort) {
  for (const char* text : {"10.0.0.7:7070", "[::1]:7070", "gpu3.example:1", "localhost:65535", "[fe80::1%eth0]:80"}) {
    const absl::StatusOr<HostPort> address = ParseServerAddress(text);
    ASSERT_TRUE(address.ok()) << address.status();
    EXPECT_EQ(ToString(*address), text);
  }
  EXPECT_EQ(ParseServerAddress("[::1]:7070")->host, "::1");
}

TEST(Address, HasAPortInRange) {
  for (const char* text : {"localhost:99999", "localhost:65536", "localhost:-1", "localhost:", "localhost:7070x",
                           "localhost:+80", "localhost: 80", "localhost:99999999999999999999"}) {
    const absl::Status status = ParseServerAddress(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(status.message(), testing::HasSubstr(std::string("\"") + text + "\": the port must be a number from 1 to 65535"));
  }
}

TEST(Address, MayAskForAFreePortToListenOnAlone) {
  EXPECT_TRUE(ParseListenAddress("[::1]:0").ok());
  EXPECT_FALSE(ParseServerAddress("[::1]:0").ok());
}

TEST(Address, ThatIsIncompleteIsRefused) {
  for (const char* text : {"", "localhost", ":7070", "[::1]", "[::1:7070", "[]:7070"}) {
    EXPECT_THAT(ParseListenAddress(text).status().message(), testing::HasSubstr("an address is HOST:PORT")) << text;
  }
  EXPECT_THAT(ParseListenAddress("::1:7070").status().message(), testing::HasSubstr("put brackets around"));
}

}  // namespace
}  // namespace muster
