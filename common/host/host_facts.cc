#include "common/host/host_facts.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/address.h"
#include "common/process/child_process.h"
#include "common/host/cgroup_limits.h"
#include "common/host/nvml.h"

namespace muster {

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? std::string(name) : std::string("localhost");
}

std::vector<uint32_t> AllowedCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<uint32_t> cpus;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return cpus;
  for (uint32_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

uint32_t CoreCount() {
  const uint32_t allowed = std::max<uint32_t>(1, static_cast<uint32_t>(AllowedCpus().size()));
  return std::min(allowed, ReadCgroupLimits().cores.value_or(allowed));
}

uint64_t MemoryBytes() {
  const uint64_t installed = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGE_SIZE));
  return std::min(installed, ReadCgroupLimits().memory_bytes.value_or(installed));
}

std::vector<std::string> GpuNames() {
  const absl::StatusOr<std::unique_ptr<Nvml>> nvml = Nvml::Open();
  std::vector<std::string> names, uuids;
  for (uint32_t i = 0; nvml.ok() && i < (*nvml)->count(); ++i) {
    const std::optional<std::string> name = (*nvml)->Name(i);
    if (!name.has_value()) continue;
    names.push_back(*name);
    uuids.push_back((*nvml)->Uuid(i));
  }
  return VisibleDevices(names, uuids, std::getenv("CUDA_VISIBLE_DEVICES"));
}

std::vector<std::string> VisibleDevices(const std::vector<std::string>& names, const std::vector<std::string>& uuids,
                                        const char* visible) {
  if (visible == nullptr) return names;
  std::vector<std::string> seen;
  for (const absl::string_view part : absl::StrSplit(visible, ',')) {
    const std::string entry(absl::StripAsciiWhitespace(part));
    size_t index = names.size();
    int number;
    if (absl::SimpleAtoi(entry, &number)) {
      if (number >= 0) index = static_cast<size_t>(number);
    } else if (!entry.empty()) {
      const auto found = std::find_if(uuids.begin(), uuids.end(),
                                      [&](const std::string& uuid) { return absl::StartsWith(uuid, entry); });
      index = static_cast<size_t>(found - uuids.begin());
    }
    if (index >= names.size()) break;
    seen.push_back(names[index]);
  }
  return seen;
}

std::string InterfaceTowards(const std::string& address) {
  const absl::StatusOr<HostPort> server = ParseServerAddress(address);
  if (!server.ok()) return "";
  addrinfo hints = {}, *list = nullptr;
  hints.ai_socktype = SOCK_DGRAM;
  if (getaddrinfo(server->host.c_str(), absl::StrCat(server->port).c_str(), &hints, &list) != 0) return "";
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, &freeaddrinfo);
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    // Connecting a datagram socket sends nothing; it chooses the route, and with it our address.
    const OwnedFd socket_fd(socket(entry->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_storage own = {};
    socklen_t length = sizeof(own);
    char text[NI_MAXHOST] = {};
    if (socket_fd.valid() && connect(socket_fd.get(), entry->ai_addr, entry->ai_addrlen) == 0 &&
        getsockname(socket_fd.get(), reinterpret_cast<sockaddr*>(&own), &length) == 0 &&
        getnameinfo(reinterpret_cast<sockaddr*>(&own), length, text, sizeof(text), nullptr, 0, NI_NUMERICHOST) == 0) {
      return text;
    }
  }
  return "";
}

}  // namespace muster
