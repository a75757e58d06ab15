#include "common/version.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status.h"

namespace muster {
namespace {

using testing::HasSubstr;

absl::Status Check(const Version& peer, const Version& own) {
  return CheckVersions("the worker w1", peer, "this coordinator", own);
}

TEST(Versions, AreReadAndWritten) {
  EXPECT_EQ(ParseVersion("1.22.3"), (Version{1, 22, 3}));
  EXPECT_EQ(ParseVersion("1.2.3-rc1"), (Version{1, 2, 3}));
  for (const char* none : {"", "1.2", "1.2.3.4", "a.b.c", "-1.2.3", "1.2.-3"}) {
    EXPECT_EQ(ParseVersion(none), std::nullopt) << none;
  }
  EXPECT_EQ(ToString({1, 22, 3}), "1.22.3");
  EXPECT_EQ(ToString(OwnVersion()), OwnVersionText());
}

TEST(Versions, OneMinorStepUpAndDownIsAccepted) {
  for (const Version& peer : {Version{1, 3, 0}, Version{1, 4, 9}, Version{1, 5, 2}}) {
    EXPECT_TRUE(Check(peer, {1, 4, 0}).ok()) << ToString(peer);
    EXPECT_TRUE(Check({1, 4, 0}, peer).ok()) << ToString(peer);
  }
}

TEST(Versions, MoreIsRefusedWithBothVersionsAndTheRemedy) {
  const absl::Status older = Check({1, 2, 7}, {1, 4, 0});
  EXPECT_EQ(older.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(older), "VERSION_MISMATCH");
  EXPECT_THAT(std::string(older.message()), HasSubstr("the worker w1 is version 1.2.7, this coordinator is 1.4.0"));
  EXPECT_THAT(std::string(older.message()), HasSubstr("Upgrade the worker w1 to 1.3"));
  EXPECT_THAT(std::string(Check({1, 6, 0}, {1, 4, 0}).message()), HasSubstr("Upgrade this coordinator to 1.5"));
  EXPECT_THAT(std::string(Check({2, 0, 0}, {1, 4, 0}).message()),
              HasSubstr("Upgrade this coordinator to the last version 1.x first"));
  EXPECT_FALSE(Check({0, 4, 0}, {1, 4, 0}).ok()) << "another major version";
}

TEST(Versions, AreFoundInUserAgents) {
  EXPECT_EQ(VersionOfUserAgent("muster/0.3.1 grpc-c++/1.51.1 grpc-c/29.0.0 (linux; chttp2)"), (Version{0, 3, 1}));
  EXPECT_EQ(VersionOfUserAgent("muster/0.3.1"), (Version{0, 3, 1}));
  EXPECT_EQ(VersionOfUserAgent("grpc-python/1.51.1 grpc-c/29.0.0"), std::nullopt);
  EXPECT_EQ(VersionOfUserAgent(""), std::nullopt);
}

}  // namespace
}  // namespace muster
