#include "common/address.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/view.h"

namespace muster {
namespace {

absl::Status Wrong(std::string_view text, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("\"", ToAbsl(text), "\": ", what));
}

absl::StatusOr<HostPort> Parse(std::string_view text, int lowest_port) {
  const size_t colon = text.rfind(':');
  const std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (colon == std::string_view::npos || host.empty() || (host.front() == '[' && !bracketed)) {
    return Wrong(text, "an address is HOST:PORT, such as 10.0.0.7:7070 or [::1]:7070");
  }
  if (!bracketed && host.find(':') != std::string_view::npos) {
    return Wrong(text, "put brackets around an IPv6 address, such as [::1]:7070");
  }
  const std::string_view digits = text.substr(colon + 1);
  const bool number =
      !digits.empty() && std::all_of(digits.begin(), digits.end(), [](char c) { return absl::ascii_isdigit(c); });
  int port = 0;
  if (!number || !absl::SimpleAtoi(ToAbsl(digits), &port) || port < lowest_port || port > 65535) {
    return Wrong(text, absl::StrCat("the port must be a number from ", lowest_port, " to 65535"));
  }
  return HostPort{std::string(bracketed ? host.substr(1, host.size() - 2) : host), static_cast<uint16_t>(port)};
}

}  // namespace

absl::StatusOr<HostPort> ParseListenAddress(std::string_view text) { return Parse(text, 0); }
absl::StatusOr<HostPort> ParseServerAddress(std::string_view text) { return Parse(text, 1); }

std::string ToString(const HostPort& address) {
  const bool v6 = address.host.find(':') != std::string::npos;
  return absl::StrCat(v6 ? "[" : "", address.host, v6 ? "]" : "", ":", address.port);
}

}  // namespace muster
