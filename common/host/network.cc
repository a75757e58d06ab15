#include "common/host/network.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace muster {
namespace {

// An address in network byte order: 4 or 16 bytes. A zone ("%eth0") is left out.
std::optional<std::string> AddressBytes(const std::string& text) {
  const std::string plain = text.substr(0, text.find('%'));
  std::string bytes(16, '\0');
  if (inet_pton(AF_INET6, plain.c_str(), bytes.data()) == 1) return bytes;
  if (inet_pton(AF_INET, plain.c_str(), bytes.data()) == 1) return bytes.substr(0, 4);
  return std::nullopt;
}

struct Network {
  std::string bytes;
  size_t prefix_bits;
};

std::optional<Network> ParseNetwork(const std::string& text) {
  const size_t slash = text.find('/');
  uint32_t bits;
  if (slash == std::string::npos || !absl::SimpleAtoi(text.substr(slash + 1), &bits)) return std::nullopt;
  const std::optional<std::string> bytes = AddressBytes(text.substr(0, slash));
  if (!bytes.has_value() || bits > bytes->size() * 8) return std::nullopt;
  return Network{*bytes, bits};
}

bool Contains(const Network& network, const std::string& address) {
  const std::optional<std::string> bytes = AddressBytes(address);
  if (!bytes.has_value() || bytes->size() != network.bytes.size()) return false;
  for (size_t bit = 0; bit < network.prefix_bits; ++bit) {
    if (((((*bytes)[bit / 8] ^ network.bytes[bit / 8]) >> (7 - bit % 8)) & 1) != 0) return false;
  }
  return true;
}

bool IsLinkLocal(const std::string& address) {
  return Contains({std::string("\xfe\x80", 2) + std::string(14, '\0'), 10}, address);
}

std::string FirstUsable(const NetworkInterface& one) {
  for (const bool ipv6 : {false, true}) {
    for (const std::string& address : one.addresses) {
      if (IsIpv6(address) == ipv6 && !(ipv6 && IsLinkLocal(address))) return address;
    }
  }
  return "";
}

std::string AddressText(const sockaddr* address) {
  char text[NI_MAXHOST] = {};
  const socklen_t length = address->sa_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  return getnameinfo(address, length, text, sizeof(text), nullptr, 0, NI_NUMERICHOST) == 0 ? text : "";
}

absl::Status Refuse(const std::vector<NetworkInterface>& interfaces, const std::string& setting, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("--interface ", setting, ": ", what, "; there are ", Describe(interfaces),
                                                 ". Give an address of this host, an interface's name, or a network "
                                                 "such as 10.0.0.0/16."));
}

absl::StatusOr<RankInterface> ChooseByNetwork(const std::vector<NetworkInterface>& interfaces, const std::string& setting,
                                              const Network& network) {
  std::vector<RankInterface> found;
  for (const NetworkInterface& one : interfaces) {
    for (const std::string& address : one.addresses) {
      if (one.up && Contains(network, address)) found.push_back({one.name, address});
    }
  }
  if (found.empty()) return Refuse(interfaces, setting, "no interface that is up has an address in this network");
  if (found.size() > 1) return Refuse(interfaces, setting, "several addresses are in this network");
  return found.front();
}

}  // namespace

std::vector<NetworkInterface> NetworkInterfaces() {
  std::map<std::string, NetworkInterface> found;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return {};
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    NetworkInterface& one = found[entry->ifa_name];
    one.name = entry->ifa_name;
    one.up = (entry->ifa_flags & IFF_UP) != 0;
    one.loopback = (entry->ifa_flags & IFF_LOOPBACK) != 0;
    if (entry->ifa_addr == nullptr) continue;
    if (entry->ifa_addr->sa_family == AF_INET || entry->ifa_addr->sa_family == AF_INET6) {
      one.addresses.push_back(AddressText(entry->ifa_addr));
    }
  }
  freeifaddrs(list);
  std::vector<NetworkInterface> interfaces;
  for (auto& [name, one] : found) interfaces.push_back(std::move(one));
  return interfaces;
}

absl::StatusOr<RankInterface> ChooseInterface(const std::vector<NetworkInterface>& interfaces, const std::string& setting) {
  if (const std::optional<Network> network = ParseNetwork(setting); network.has_value()) {
    return ChooseByNetwork(interfaces, setting, *network);
  }
  if (AddressBytes(setting).has_value()) {
    // Some sandboxes hide the interfaces; the ranks find out later whether the address can be bound.
    if (interfaces.empty()) return RankInterface{"", setting};
    const NetworkInterface* owner = InterfaceOf(interfaces, setting);
    if (owner == nullptr) return Refuse(interfaces, setting, "no interface of this host has this address");
    if (!owner->up) return Refuse(interfaces, setting, absl::StrCat(owner->name, ", which has this address, is down"));
    return RankInterface{owner->name, setting};
  }
  for (const NetworkInterface& one : interfaces) {
    if (one.name != setting) continue;
    if (!one.up) return Refuse(interfaces, setting, "this interface is down");
    const std::string address = FirstUsable(one);
    if (address.empty()) return Refuse(interfaces, setting, "this interface has no address that other hosts can reach");
    return RankInterface{one.name, address};
  }
  return Refuse(interfaces, setting, "neither an address, nor a network, nor the name of an interface");
}

const NetworkInterface* InterfaceOf(const std::vector<NetworkInterface>& interfaces, const std::string& address) {
  const std::optional<std::string> bytes = AddressBytes(address);
  for (const NetworkInterface& one : interfaces) {
    for (const std::string& has : one.addresses) {
      if (has == address || (bytes.has_value() && AddressBytes(has) == bytes)) return &one;
    }
  }
  if (!Contains({std::string("\x7f\0\0\0", 4), 8}, address)) return nullptr;
  for (const NetworkInterface& one : interfaces) {
    if (one.loopback) return &one;
  }
  return nullptr;
}

std::vector<std::string> NcclInterfaces(const std::vector<NetworkInterface>& interfaces, const std::string& setting) {
  const bool inverse = absl::StartsWith(setting, "^");
  std::string list = setting.substr(inverse ? 1 : 0);
  const bool exact = absl::StartsWith(list, "=");
  if (exact) list.erase(0, 1);
  std::vector<std::string> usable;
  for (const NetworkInterface& one : interfaces) {
    bool named = false;
    for (const absl::string_view entry : absl::StrSplit(list, ',', absl::SkipEmpty())) {
      named = named || (exact ? one.name == entry : absl::StartsWith(one.name, entry));
    }
    if (named != inverse && one.up && !(inverse && one.loopback)) usable.push_back(one.name);
  }
  return usable;
}

std::string Describe(const std::vector<NetworkInterface>& interfaces) {
  std::vector<std::string> parts;
  for (const NetworkInterface& one : interfaces) {
    if (one.up) parts.push_back(absl::StrCat(one.name, " (", absl::StrJoin(one.addresses, ", "), ")"));
  }
  return parts.empty() ? "none" : absl::StrJoin(parts, ", ");
}

bool IsIpv6(const std::string& address) { return absl::StrContains(address, ':'); }

}  // namespace muster
