#include "client/doctor/host_checks.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace muster {
namespace {

constexpr uint64_t kGigabyte = 1000000000;
constexpr uint64_t kLeastShm = 64 << 20;
constexpr uint64_t kGoodShm = uint64_t{1} << 30;
constexpr uint64_t kLeastFree = 2 * kGigabyte;
constexpr uint64_t kLeastFiles = 1024;
constexpr unsigned kHot = 90;

// NVML's clock-throttle bits that mean trouble: hardware slowdown, thermal, power brake.
constexpr uint64_t kThermal = 0x20 | 0x40, kHardware = 0x8, kPowerBrake = 0x80;

std::string Gigabytes(uint64_t bytes) { return absl::StrFormat("%.1f GB", static_cast<double>(bytes) / kGigabyte); }

std::string NamesOf(const std::vector<NetworkInterface>& interfaces) {
  std::vector<std::string> names;
  for (const NetworkInterface& one : interfaces) {
    if (one.up) names.push_back(one.name);
  }
  return absl::StrJoin(names, ", ");
}

}  // namespace

Finding CheckSecretMode(Secret secret, const std::string& path, unsigned mode) {
  const bool token = secret == Secret::kToken;
  const std::string what = absl::StrCat(token ? "token file " : "private key ", path);
  // Group access is allowed, because a Kubernetes Secret with fsGroup is mounted that way. Access for others is not.
  if ((mode & 0007) == 0) return {Verdict::kOk, what, "is not readable by others", ""};
  return {Verdict::kProblem, what, absl::StrFormat("may be read by everybody (mode %04o)", mode & 0777),
          absl::StrCat("chmod 600 ", path, ", and issue a new ", token ? "token" : "certificate",
                       " if others could log in here")};
}

Finding CheckPort(const std::string& name, int port, bool taken, const std::string& owner) {
  const std::string what = absl::StrCat("port ", port, " (", name, ")");
  if (!taken) return {Verdict::kOk, what, "is free", ""};
  if (absl::StrContains(owner, "muster-worker")) return {Verdict::kOk, what, absl::StrCat("is taken by ", owner), ""};
  return {Verdict::kProblem, what,
          absl::StrCat("is taken by ", owner.empty() ? "a process that this user may not see" : owner),
          absl::StrCat("stop it, or give muster-worker another with --", name, " HOST:PORT")};
}

Finding CheckInterface(const std::vector<NetworkInterface>& interfaces, const std::string& coordinator,
                       const std::string& towards) {
  if (towards.empty()) {
    return {Verdict::kProblem, "interface towards the coordinator", absl::StrCat("there is no route to ", coordinator),
            "check the address, name resolution and routes"};
  }
  for (const NetworkInterface& one : interfaces) {
    if (std::find(one.addresses.begin(), one.addresses.end(), towards) == one.addresses.end()) continue;
    if (one.loopback) {
      return {Verdict::kWarning, "interface towards the coordinator", absl::StrCat(one.name, " (", towards, ")"),
              "ranks of other hosts cannot reach this one: name another address with --interface, unless all ranks are "
              "on this host"};
    }
    return {Verdict::kOk, "interface towards the coordinator", absl::StrCat(one.name, " (", towards, ")"), ""};
  }
  return {Verdict::kWarning, "interface towards the coordinator", absl::StrCat(towards, " is on no interface"),
          "name an address of this host with --interface"};
}

Finding CheckChosenInterface(const std::vector<NetworkInterface>& interfaces, const std::string& interface) {
  const absl::StatusOr<RankInterface> chosen = ChooseInterface(interfaces, interface);
  if (!chosen.ok()) {
    return {Verdict::kProblem, "--interface", std::string(chosen.status().message()), "muster-worker does not start with it"};
  }
  return {Verdict::kOk, "--interface", absl::StrCat(chosen->name, " (", chosen->address, ")"), ""};
}

Finding CheckNcclInterface(const std::vector<NetworkInterface>& interfaces, const std::string& setting,
                           const std::string& ranks, bool chosen) {
  constexpr char kWhat[] = "NCCL_SOCKET_IFNAME";
  constexpr char kPlain[] = "; NCCL does not encrypt, nor does RDMA, which it prefers to sockets where there is any";
  if (setting.empty()) {
    return {Verdict::kOk, kWhat,
            absl::StrCat("is not set: muster-worker sets =", ranks.empty() ? "NAME, the interface of its ranks" : ranks, kPlain),
            ""};
  }
  const std::vector<std::string> usable = NcclInterfaces(interfaces, setting);
  if (usable.empty()) {
    return {Verdict::kProblem, kWhat,
            absl::StrCat(setting, " selects no interface that is up; there are ", NamesOf(interfaces)),
            "unset it, or name one of these"};
  }
  const std::string selects = absl::StrCat(setting, " selects ", absl::StrJoin(usable, ", "));
  if (ranks.empty() || std::find(usable.begin(), usable.end(), ranks) != usable.end()) {
    return {Verdict::kOk, kWhat, absl::StrCat(selects, kPlain), ""};
  }
  if (chosen) {
    return {Verdict::kProblem, kWhat,
            absl::StrCat(selects, ", but --interface chooses ", ranks, ": a GPU worker does not start"),
            "unset it, or choose the same interface in both"};
  }
  return {Verdict::kWarning, kWhat,
          absl::StrCat(selects, ", but the way to the coordinator is ", ranks, ": NCCL follows the variable"),
          "name the interface with --interface"};
}

Finding CheckShm(uint64_t bytes, bool has_gpus) {
  if (bytes >= kGoodShm || (!has_gpus && bytes >= kLeastShm)) return {Verdict::kOk, "/dev/shm", Gigabytes(bytes), ""};
  const std::string remedy = "mount an emptyDir with medium Memory at /dev/shm (podman: --shm-size=1g)";
  if (bytes == 0) return {Verdict::kProblem, "/dev/shm", "does not exist: NCCL cannot start", remedy};
  return {has_gpus ? Verdict::kProblem : Verdict::kWarning, "/dev/shm",
          absl::StrCat(Gigabytes(bytes), ": NCCL needs 1 GB on a host with GPUs"), remedy};
}

Finding CheckDisk(const std::string& folder, uint64_t free, uint64_t size) {
  const std::string what = absl::StrCat("disk of ", folder);
  const std::string detail = absl::StrCat(Gigabytes(free), " free of ", Gigabytes(size));
  if (free < kLeastFree) {
    return {Verdict::kProblem, what, detail,
            "checkpoints are written here before they are sent: free some space, or lower --cache-bytes"};
  }
  if (free < size / 10)
    return {Verdict::kWarning, what, detail, "it fills up: give it a larger disk, or lower --cache-bytes"};
  return {Verdict::kOk, what, detail, ""};
}

Finding CheckCores(uint32_t cores, uint32_t slots) {
  const std::string detail = absl::StrCat(cores, " that a worker may use");
  if (cores >= slots) return {Verdict::kOk, "cores", detail, ""};
  return {Verdict::kWarning, "cores", absl::StrCat(detail, " for ", slots, " slots"),
          "give each slot at least one core, or start the worker with fewer --slots"};
}

Finding CheckMemory(uint64_t bytes) {
  if (bytes >= 2 * kGigabyte) return {Verdict::kOk, "memory", Gigabytes(bytes), ""};
  return {Verdict::kWarning, "memory", Gigabytes(bytes), "a rank needs about 2 GB in addition to its model: raise the limit"};
}

Finding CheckOpenFiles(uint64_t limit) {
  if (limit >= kLeastFiles) return {Verdict::kOk, "open files", absl::StrCat("at most ", limit), ""};
  return {Verdict::kWarning, "open files", absl::StrCat("at most ", limit),
          absl::StrCat("raise it to ", kLeastFiles, " or more (ulimit -n)")};
}

Findings CheckGpus(const NvmlFacts& nvml, bool expected) {
  if (!nvml.absent.empty()) {
    return {
        {expected ? Verdict::kProblem : Verdict::kOk, "GPUs", absl::StrCat("none: ", nvml.absent),
         expected
             ? "install the NVIDIA driver, or give the container its devices (nvidia.com/gpu, nvidia-container-toolkit)"
             : ""}};
  }
  Findings findings = {{Verdict::kOk, "NVIDIA driver", nvml.driver, ""}};
  if (nvml.gpus.empty()) {
    findings.push_back({expected ? Verdict::kProblem : Verdict::kOk, "GPUs", "the driver shows none",
                        expected ? "check nvidia-smi" : ""});
  }
  for (const GpuFacts& gpu : nvml.gpus) {
    const std::string what = absl::StrCat("GPU ", gpu.index, " (", gpu.name, ")");
    const std::string heat =
        gpu.reading.temperature.has_value() ? absl::StrCat(", ", *gpu.reading.temperature, " °C") : "";
    const uint64_t throttle = gpu.reading.throttle.value_or(0);
    if (const uint64_t errors = gpu.reading.ecc_errors.value_or(0); errors > 0) {
      findings.push_back({Verdict::kProblem, what,
                          absl::StrCat(errors, " uncorrected memory errors since the driver started"),
                          "drain the worker, reset the GPU, and replace it if they come back"});
    } else if ((throttle & (kThermal | kHardware | kPowerBrake)) != 0) {
      const char* why = (throttle & kThermal) != 0 ? "heat" : (throttle & kPowerBrake) != 0 ? "power" : "hardware";
      findings.push_back({Verdict::kWarning, what, absl::StrCat("is throttled by ", why, heat),
                          "check cooling and power: all ranks wait for the slowest"});
    } else if (gpu.reading.temperature.value_or(0) >= kHot) {
      findings.push_back({Verdict::kWarning, what, absl::StrCat("hot", heat), "check its cooling"});
    } else {
      findings.push_back({Verdict::kOk, what, absl::StrCat("well", heat), ""});
    }
  }
  return findings;
}

Finding CheckRankProgram(const std::string& path, bool found, int exit_code, const std::string& last_line) {
  if (!found)
    return {Verdict::kProblem, "rank program", absl::StrCat(path, " does not exist"), "name it with --rank-binary"};
  if (exit_code == 0) return {Verdict::kOk, "rank program", absl::StrCat(path, " loads (", last_line, ")"), ""};
  return {Verdict::kProblem, "rank program", absl::StrCat(path, " does not start: ", last_line),
          "its libraries (LibTorch) must be where the image or deploy/bootstrap puts them"};
}

}  // namespace muster
