#include "common/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <prometheus/gauge.h>
#include <sys/socket.h>
#include <unistd.h>

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

// The whole answer to one request.
std::string Ask(const std::string& host, int port, const std::string& request) {
  addrinfo hints = {}, *list = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST;
  EXPECT_EQ(getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list), 0);
  const int fd = socket(list->ai_family, SOCK_STREAM, 0);
  EXPECT_EQ(connect(fd, list->ai_addr, list->ai_addrlen), 0);
  freeaddrinfo(list);
  EXPECT_EQ(send(fd, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
  std::string answer;
  char bytes[4096];
  for (ssize_t got; (got = recv(fd, bytes, sizeof(bytes), 0)) > 0;) answer.append(bytes, static_cast<size_t>(got));
  close(fd);
  return answer;
}

class MetricsOverBothFamilies : public testing::TestWithParam<std::string> {};

TEST_P(MetricsOverBothFamilies, AreScraped) {
  auto registry = std::make_shared<prometheus::Registry>();
  prometheus::BuildGauge().Name("muster_test").Register(*registry).Add({}).Set(7);
  const bool v6 = GetParam().find(':') != std::string::npos;
  const auto server = MetricsServer::Start(v6 ? "[" + GetParam() + "]:0" : GetParam() + ":0", registry);
  ASSERT_TRUE(server.ok()) << server.status();
  const int port = (*server)->port();
  const std::string answer = Ask(GetParam(), port, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(answer, testing::StartsWith("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  EXPECT_THAT(answer, testing::HasSubstr("\nmuster_test 7\n"));
  EXPECT_THAT(answer, testing::HasSubstr("\nexposer_scrapes_total 0\n"));
  EXPECT_THAT(Ask(GetParam(), port, "GET /else HTTP/1.1\r\n\r\n"), testing::StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(Ask(GetParam(), port, "POST /metrics HTTP/1.1\r\n\r\n"), testing::StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(Ask(GetParam(), port, "nonsense\r\n\r\n"), testing::StartsWith("HTTP/1.1 400 "));
  EXPECT_EQ(Ask(GetParam(), port, std::string(20000, 'x')), "") << "longer than a request may be";
}

INSTANTIATE_TEST_SUITE_P(Hosts, MetricsOverBothFamilies, testing::Values("127.0.0.1", "::1"),
                         [](const auto& info) { return info.param == "::1" ? "IPv6" : "IPv4"; });

TEST(MetricsServer, RefusesWhatIsNotAnAddressByTheFlagsName) {
  const auto server = MetricsServer::Start("::1:0", std::make_shared<prometheus::Registry>());
  EXPECT_EQ(server.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(server.status().message()), testing::HasSubstr("--metrics: "));
}

}  // namespace
}  // namespace muster
