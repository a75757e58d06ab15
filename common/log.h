// Logging of the server programs: one line an event on standard error, through spdlog.
// Use spdlog::info("job {} attempt {} ended: {}", …) after InitLog.
#pragma once

#include <string_view>

namespace muster {

// Once, in main. `program` stands in every line. Level: trace, debug, info, warning, error.
void InitLog(std::string_view program, std::string_view level = "info");

}  // namespace muster
