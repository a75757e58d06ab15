// Parses and prints addresses from flags and files: HOST:PORT. Servers and clients use the same parser.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace muster {

struct HostPort {
  std::string host;   // without brackets: "10.0.0.7", "::1", "gpu3.example"
  uint16_t port = 0;
};

// "HOST:PORT", "[IPV6]:PORT". INVALID_ARGUMENT that names the text and what is wrong with it.
absl::StatusOr<HostPort> ParseListenAddress(std::string_view text);  // port 0 picks a free port
absl::StatusOr<HostPort> ParseServerAddress(std::string_view text);  // of a server to connect to: port 1 to 65535

// "10.0.0.7:7070", "[::1]:7070".
std::string ToString(const HostPort& address);

}  // namespace muster
