#include "common/metrics.h"

#include <gtest/gtest.h>

namespace muster {
namespace {

TEST(MetricsServer, PicksAFreePortAndReportsATakenOne) {
  auto registry = std::make_shared<prometheus::Registry>();
  const auto server = MetricsServer::Start("127.0.0.1:0", registry);
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_GT((*server)->port(), 0);
  const std::string taken = "127.0.0.1:" + std::to_string((*server)->port());
  const auto second = MetricsServer::Start(taken, registry);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(second.status().message().find(taken), std::string::npos);
}

}  // namespace
}  // namespace muster
