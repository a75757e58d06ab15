// The network interfaces of this host, and which of them --interface and NCCL_SOCKET_IFNAME choose.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace muster {

struct NetworkInterface {
  std::string name;
  std::vector<std::string> addresses;  // without ports and prefix lengths
  bool up = false, loopback = false;
};

// Sorted by name; empty if the kernel does not report them.
std::vector<NetworkInterface> NetworkInterfaces();

// The interface and address that this host's ranks bind to.
struct RankInterface {
  std::string name;  // empty: not known
  std::string address;
};

// `setting` is an address of this host, the name of an interface, or a network such as 10.0.0.0/16 or fd00::/64 in which
// one interface has an address. Of an interface with several addresses, a name takes the first IPv4 address, or else the
// first IPv6 address that is not link-local. INVALID_ARGUMENT names the existing interfaces.
absl::StatusOr<RankInterface> ChooseInterface(const std::vector<NetworkInterface>& interfaces, const std::string& setting);

// The interface that has this address; the loopback interface has all of 127.0.0.0/8. Null if there is none.
const NetworkInterface* InterfaceOf(const std::vector<NetworkInterface>& interfaces, const std::string& address);

// The interfaces that are up and that NCCL uses with this value of NCCL_SOCKET_IFNAME: a list of prefixes, with "="
// before exact names and "^" before excluded ones.
std::vector<std::string> NcclInterfaces(const std::vector<NetworkInterface>& interfaces, const std::string& setting);

// "eth0 (10.0.0.2), lo (127.0.0.1)": the interfaces that are up.
std::string Describe(const std::vector<NetworkInterface>& interfaces);

bool IsIpv6(const std::string& address);

}  // namespace muster
