#include "common/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <thread>

namespace muster {
namespace {

using Json = nlohmann::json;

class LogTest : public testing::Test {
 protected:
  void TearDown() override { SetLogFields({}); }

  std::string Line(LogFormat format, const std::string& message) {
    std::ostringstream out;
    spdlog::logger logger("muster-test", std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
    logger.set_formatter(MakeLogFormatter(format));
    logger.warn("{}", message);
    return out.str();
  }
};

TEST_F(LogTest, AJsonLineHasTheFieldsOfProcessAndScopes) {
  SetLogFields({.worker = "w1"});
  const ScopedLogFields outer({.job = "a", .attempt = 2, .request_id = "outer"});
  const ScopedLogFields inner({.rank = 0, .request_id = "inner"});
  const Json line = Json::parse(Line(LogFormat::kJson, "hello"));
  EXPECT_THAT(line["time"].get<std::string>(),
              testing::MatchesRegex("20[0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]\\.[0-9]+Z"));
  EXPECT_EQ(line["level"], "warning");
  EXPECT_EQ(line["program"], "muster-test");
  EXPECT_EQ(line["message"], "hello");
  EXPECT_EQ(line["worker"], "w1");
  EXPECT_EQ(line["job"], "a");
  EXPECT_EQ(line["attempt"], 2);
  EXPECT_EQ(line["rank"], 0);
  EXPECT_EQ(line["request_id"], "inner");
}

TEST_F(LogTest, EmptyFieldsAreLeftOutAndAScopeEnds) {
  { const ScopedLogFields scope({.job = "a"}); }
  const Json line = Json::parse(Line(LogFormat::kJson, "hello"));
  EXPECT_EQ(line.size(), 4) << line;
}

TEST_F(LogTest, ScopesAreOfTheirThread) {
  const ScopedLogFields scope({.job = "a"});
  std::thread([&] { EXPECT_EQ(CurrentLogFields().job, ""); }).join();
  EXPECT_EQ(CurrentLogFields().job, "a");
}

TEST_F(LogTest, HostileTextIsOneValidLine) {
  std::mt19937 random(29);
  for (int round = 0; round < 500; ++round) {
    std::string hostile = "\"},{\"message\":\"\n\r\t\\\xff\xc0\x80\xed\xa0\x80";
    for (int i = 0; i < 40; ++i) hostile.push_back(static_cast<char>(random()));
    const ScopedLogFields scope({.job = hostile, .worker = hostile, .request_id = hostile});
    const std::string line = Line(LogFormat::kJson, hostile);
    ASSERT_EQ(std::count(line.begin(), line.end(), '\n'), 1) << "seed 29, round " << round;
    ASSERT_EQ(line.back(), '\n');
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    ASSERT_TRUE(json.is_object()) << "seed 29, round " << round;
    EXPECT_EQ(json.size(), 7);
    EXPECT_EQ(json["level"], "warning");
  }
}

TEST_F(LogTest, ATextLineShowsTheFieldsOfScopesAlone) {
  SetLogFields({.worker = "w1"});
  EXPECT_THAT(Line(LogFormat::kText, "hello"), testing::EndsWith("Z muster-test warning hello\n"));
  const ScopedLogFields scope({.job = "a", .attempt = 1});
  EXPECT_THAT(Line(LogFormat::kText, "hello"), testing::EndsWith("Z muster-test warning hello [job=a attempt=1]\n"));
}

}  // namespace
}  // namespace muster
