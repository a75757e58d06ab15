#include "worker/agent/rank_environment.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

constexpr std::array<std::string_view, 17> kPassed = {
    "PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "SSL_CERT_DIR", "ASAN_OPTIONS", "UBSAN_OPTIONS",
    "TSAN_OPTIONS", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "CUDA_MODULE_LOADING", "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES", "MUSTER_AUDIT_DIR"};

// The variables by which NCCL and its plug-ins (aws-ofi-nccl, libfabric, verbs, UCX; TCPX is under NCCL_) choose the
// network.
constexpr std::array<std::string_view, 7> kPassedPrefixes = {"NCCL_", "OFI_NCCL_", "FI_", "IBV_", "MLX5_", "RDMAV_", "UCX_"};

struct Owned {
  std::string_view name, value, why;  // value: what Muster sets; empty: it differs per rank or attempt
};
// Results and the joining of the ranks depend on these, so the environment cannot set them.
constexpr std::array<Owned, 7> kOwned = {{
    {"NCCL_ALGO", "Ring", "sums have equal bits with one algorithm only"},
    {"NCCL_PROTO", "Simple", "sums have equal bits with one protocol only"},
    {"NCCL_COMM_ID", "", "ranks find each other through the coordinator"},
    {"CUBLAS_WORKSPACE_CONFIG", ":4096:8", "matrix products repeat their bits with it"},
    {"MKL_CBWR", "AUTO,STRICT", "matrix products repeat their bits with it"},
    {"TORCH_FR_BUFFER_SIZE", "0", "PyTorch's flight recorder crashes ranks"},
    {"TMPDIR", "", "each rank has a scratch folder"},
}};

// Settings of the OpenMP library in LibTorch. By default its waiting threads spin, and with another busy process on
// the same cores a step then takes several times as long.
constexpr std::string_view kWaitPolicy = "OMP_WAIT_POLICY", kSpinCount = "GOMP_SPINCOUNT";
constexpr std::string_view kWaitPolicyValue = "passive";

using Variables = std::map<std::string, std::string, std::less<>>;

std::string ValueOf(const Variables& variables, std::string_view name) {
  const auto found = variables.find(name);
  return found == variables.end() ? "" : found->second;
}

const Owned* FindOwned(std::string_view name) {
  const auto found = std::find_if(kOwned.begin(), kOwned.end(), [&](const Owned& owned) { return owned.name == name; });
  return found == kOwned.end() ? nullptr : &*found;
}

bool Passes(std::string_view name) {
  if (std::find(kPassed.begin(), kPassed.end(), name) != kPassed.end()) return true;
  return FindOwned(name) == nullptr && std::any_of(kPassedPrefixes.begin(), kPassedPrefixes.end(),
                                                   [&](std::string_view prefix) { return name.starts_with(prefix); });
}

bool IsVariableName(const std::string& name) {
  return !name.empty() && !absl::ascii_isdigit(static_cast<unsigned char>(name[0])) &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) { return absl::ascii_isalnum(c) || c == '_'; });
}

absl::Status CheckExtra(const std::string& name) {
  const auto refuse = [&](std::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat("--rank-env ", name, ": ", ToAbsl(why)));
  };
  if (!IsVariableName(name)) return refuse("give the name of an environment variable, without a value");
  if (name.starts_with("MUSTER_")) return refuse("ranks get no variable of Muster's own, because it may hold a token");
  if (name == "LD_PRELOAD" || name == "LD_AUDIT") return refuse("ranks load no foreign code this way");
  const Owned* owned = FindOwned(name);
  if (owned != nullptr) return refuse(absl::StrCat("Muster sets it: ", ToAbsl(owned->why)));
  return absl::OkStatus();
}

// Keeps NCCL on Gloo's interface, unless the environment sets another one for NCCL.
absl::Status BindNccl(Variables& passed, const RankVariableOptions& options, const std::vector<NetworkInterface>& interfaces,
                      std::vector<std::string>& warnings) {
  const RankInterface& wanted = options.interface;
  const NetworkInterface* owner = InterfaceOf(interfaces, wanted.address);
  const bool loopback = owner != nullptr && owner->loopback;
  const auto disagree = [&](const std::string& setting, const std::string& effect) {
    if (!options.gpu) return absl::OkStatus();
    const std::string conflict = absl::StrCat(setting, " in the environment ", effect, ", but ranks must use ",
                                              wanted.name, " (", wanted.address, ")");
    if (options.interface_is_chosen) {
      return absl::InvalidArgumentError(absl::StrCat("--interface: ", conflict, ". Unset the variable, or choose the same "
                                                     "interface in both."));
    }
    warnings.push_back(absl::StrCat(conflict, ": the environment wins for NCCL. Name the interface with --interface."));
    return absl::OkStatus();
  };
  const std::string setting = ValueOf(passed, "NCCL_SOCKET_IFNAME");
  if (setting.empty()) {
    if (!wanted.name.empty()) passed["NCCL_SOCKET_IFNAME"] = absl::StrCat("=", wanted.name);
    if (wanted.name.empty() && options.gpu) {
      warnings.push_back(absl::StrCat("no interface of this host has the address ", wanted.address,
                                      ": NCCL chooses one by itself"));
    }
  } else if (!wanted.name.empty()) {
    const std::vector<std::string> selected = NcclInterfaces(interfaces, setting);
    if (std::find(selected.begin(), selected.end(), wanted.name) == selected.end()) {
      RETURN_IF_ERROR(disagree(absl::StrCat("NCCL_SOCKET_IFNAME=", setting),
                               selected.empty() ? "selects no interface that is up"
                                                : absl::StrCat("selects ", absl::StrJoin(selected, ", "))));
    }
  }
  // NCCL refuses ::1, so on loopback it keeps its own choice.
  if (loopback || wanted.name.empty() || (!setting.empty() && !options.interface_is_chosen)) return absl::OkStatus();
  const std::string family = IsIpv6(wanted.address) ? "AF_INET6" : "AF_INET";
  const std::string chosen = ValueOf(passed, "NCCL_SOCKET_FAMILY");
  if (!chosen.empty() && chosen != family) return disagree(absl::StrCat("NCCL_SOCKET_FAMILY=", chosen), "names the other kind");
  passed["NCCL_SOCKET_FAMILY"] = family;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RankVariables> ChooseRankVariables(const std::vector<std::string>& environment,
                                                  const RankVariableOptions& options,
                                                  const std::vector<NetworkInterface>& interfaces) {
  RankVariables chosen;
  Variables all, passed;
  for (const std::string& entry : environment) {
    const size_t equals = entry.find('=');
    if (equals != std::string::npos) all[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  for (const auto& [name, value] : all) {
    if (Passes(name)) passed[name] = value;
    const Owned* owned = FindOwned(name);
    if (owned != nullptr && name != "TMPDIR" && value != owned->value) {
      chosen.warnings.push_back(absl::StrCat(name, "=", value, " in the environment does not reach the ranks: ",
                                             ToAbsl(owned->why)));
    }
  }
  if (all.contains("GLOO_SOCKET_IFNAME")) {
    chosen.warnings.push_back("GLOO_SOCKET_IFNAME in the environment has no effect: Gloo binds the address of --interface");
  }
  for (const std::string_view name : {kWaitPolicy, kSpinCount}) {
    if (const auto found = all.find(name); found != all.end()) passed[found->first] = found->second;
  }
  if (!all.contains(kWaitPolicy) && !all.contains(kSpinCount)) passed.emplace(kWaitPolicy, kWaitPolicyValue);
  for (const std::string& name : options.extra) {
    RETURN_IF_ERROR(CheckExtra(name));
    if (all.contains(name)) {
      passed[name] = all[name];
    } else {
      chosen.warnings.push_back(absl::StrCat("--rank-env ", name, ": this variable is not set here, so ranks do not get "
                                             "it"));
    }
  }
  RETURN_IF_ERROR(BindNccl(passed, options, interfaces, chosen.warnings));
  for (const auto& [name, value] : passed) chosen.environment.push_back(absl::StrCat(name, "=", value));
  return chosen;
}

std::vector<std::string> OwnEnvironment() {
  std::vector<std::string> entries;
  for (char** entry = environ; *entry != nullptr; ++entry) entries.emplace_back(*entry);
  return entries;
}

}  // namespace muster
