#include "common/rpc/grpc_setup.h"

#include <grpc/support/log.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "common/log.h"

namespace muster {
namespace {

TEST(GrpcLog, IsInTheProgramsFormat) {
  std::ostringstream out;
  const auto before = spdlog::default_logger();
  auto logger = std::make_shared<spdlog::logger>("muster-test", std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
  logger->set_formatter(MakeLogFormatter(LogFormat::kJson));
  spdlog::set_default_logger(logger);
  SetUpGrpc();
  gpr_log(GPR_ERROR, "handshake failed: %s", "\"\n");
  spdlog::set_default_logger(before);
  const nlohmann::json line = nlohmann::json::parse(out.str(), nullptr, /*allow_exceptions=*/false);
  ASSERT_TRUE(line.is_object()) << out.str();
  EXPECT_EQ(line["level"], "warning");
  EXPECT_EQ(line["message"], "grpc: handshake failed: \"\n");
}

}  // namespace
}  // namespace muster
