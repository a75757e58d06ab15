#include "worker/agent/rank_environment.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "absl/strings/str_cat.h"

namespace muster {
namespace {

constexpr std::array<std::string_view, 35> kPassed = {
    "PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "SSL_CERT_DIR", "ASAN_OPTIONS", "UBSAN_OPTIONS",
    "TSAN_OPTIONS", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "CUDA_MODULE_LOADING", "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES", "MUSTER_AUDIT_DIR",
    // How NCCL finds its way on a host; nothing that changes results.
    "NCCL_DEBUG", "NCCL_DEBUG_SUBSYS", "NCCL_SOCKET_IFNAME", "NCCL_SOCKET_FAMILY", "NCCL_IB_DISABLE", "NCCL_IB_HCA",
    "NCCL_IB_GID_INDEX", "NCCL_IB_TC", "NCCL_IB_SL", "NCCL_IB_TIMEOUT", "NCCL_P2P_DISABLE", "NCCL_P2P_LEVEL",
    "NCCL_SHM_DISABLE", "NCCL_NET", "NCCL_NET_PLUGIN", "NCCL_CROSS_NIC", "NCCL_NET_GDR_LEVEL", "NCCL_TOPO_FILE"};

}  // namespace

std::vector<std::string> RankEnvironment(const std::vector<std::string>& environment, const std::string& scratch) {
  std::vector<std::string> passed;
  for (const std::string& entry : environment) {
    const std::string_view name = std::string_view(entry).substr(0, entry.find('='));
    if (std::find(kPassed.begin(), kPassed.end(), name) != kPassed.end()) passed.push_back(entry);
  }
  passed.push_back(absl::StrCat("TMPDIR=", scratch));
  return passed;
}

std::vector<std::string> OwnEnvironment() {
  std::vector<std::string> entries;
  for (char** entry = environ; *entry != nullptr; ++entry) entries.emplace_back(*entry);
  return entries;
}

}  // namespace muster
