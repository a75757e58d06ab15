#include "client/doctor/host_probe.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "client/doctor/host_checks.h"
#include "common/files.h"
#include "common/host/host_facts.h"
#include "common/host/network.h"
#include "common/host/nvml.h"
#include "common/process/child_process.h"

namespace muster {
namespace {

// Inode of the socket that listens on the port, from /proc/net/tcp and tcp6; empty: none.
std::string ListeningInode(int port) {
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    const absl::StatusOr<std::string> text = ReadFile(table);
    if (!text.ok()) continue;
    for (const absl::string_view line : absl::StrSplit(*text, '\n')) {
      const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
      if (words.size() < 10 || words[3] != "0A") continue;  // LISTEN
      const size_t colon = words[1].rfind(':');
      if (std::strtol(words[1].c_str() + colon + 1, nullptr, 16) == port) return words[9];
    }
  }
  return "";
}

// "muster-worker (pid 12)" of the process that has the socket open; empty without permission to look.
std::string OwnerOf(const std::string& inode) {
  const std::string target = absl::StrCat("socket:[", inode, "]");
  std::error_code error;
  for (const auto& process : std::filesystem::directory_iterator("/proc", error)) {
    int pid;
    if (!absl::SimpleAtoi(process.path().filename().string(), &pid)) continue;
    std::error_code denied;
    for (const auto& fd : std::filesystem::directory_iterator(process.path() / "fd", denied)) {
      if (std::filesystem::read_symlink(fd.path(), denied).string() != target) continue;
      std::string name(absl::StripAsciiWhitespace(ReadFile(process.path() / "comm").value_or("?")));
      const auto program = std::filesystem::read_symlink(process.path() / "exe", denied);
      if (!denied) name = program.filename().string();
      return absl::StrCat(name, " (pid ", pid, ")");
    }
  }
  return "";
}

Finding Port(const std::string& name, const std::string& address) {
  int port = 0;
  if (!absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port)) {
    return {Verdict::kProblem, absl::StrCat("--", name), absl::StrCat(address, " is not HOST:PORT"), "correct it"};
  }
  const std::string inode = ListeningInode(port);
  return CheckPort(name, port, !inode.empty(), inode.empty() ? "" : OwnerOf(inode));
}

struct Volume {
  uint64_t free = 0, size = 0;
};
Volume VolumeOf(const std::filesystem::path& folder) {
  struct statvfs info {};
  if (statvfs(folder.c_str(), &info) != 0) return {};
  return {uint64_t{info.f_bavail} * info.f_frsize, uint64_t{info.f_blocks} * info.f_frsize};
}

// Runs it with --help, which loads its libraries.
Finding RankProgram(const std::filesystem::path& path) {
  if (access(path.c_str(), X_OK) != 0) return CheckRankProgram(path.string(), false, 0, "");
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) return CheckRankProgram(path.string(), true, 1, "no pipe for its output");
  const pid_t child = fork();
  if (child == 0) {
    dup2(pipe_ends[1], STDOUT_FILENO);
    dup2(pipe_ends[1], STDERR_FILENO);
    execl(path.c_str(), path.c_str(), "--help", nullptr);
    _exit(127);
  }
  close(pipe_ends[1]);
  std::string output;
  char buffer[4096];
  for (ssize_t count; (count = read(pipe_ends[0], buffer, sizeof(buffer))) > 0;) output.append(buffer, count);
  close(pipe_ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  const std::vector<std::string> lines = absl::StrSplit(output, '\n', absl::SkipWhitespace());
  const bool well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  const std::string line = lines.empty() ? "no output" : well ? lines.front() : lines.back();
  return CheckRankProgram(path.string(), true, well ? 0 : 1, line);
}

Findings StateFolder(const std::filesystem::path& folder) {
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error)) {
    return {{Verdict::kProblem, absl::StrCat("state folder ", folder.string()), "does not exist",
             "make it, or name another with --state"}};
  }
  Findings findings;
  if (access(folder.c_str(), W_OK) != 0) {
    findings.push_back({Verdict::kProblem, absl::StrCat("state folder ", folder.string()), "cannot be written",
                        absl::StrCat("give it to the user that muster-worker runs as (uid here: ", getuid(), ")")});
  }
  const Volume volume = VolumeOf(folder);
  findings.push_back(CheckDisk(folder.string(), volume.free, volume.size));
  return findings;
}

// Queries NVML if there is one.
NvmlFacts ProbeGpus() {
  NvmlFacts facts;
  const absl::StatusOr<std::unique_ptr<Nvml>> nvml = Nvml::Open();
  if (!nvml.ok()) {
    facts.absent = std::string(nvml.status().message());
    return facts;
  }
  facts.driver = (*nvml)->Driver();
  for (uint32_t i = 0; i < (*nvml)->count(); ++i) {
    facts.gpus.push_back({i, (*nvml)->Name(i).value_or("no name"), (*nvml)->Read(i)});
  }
  return facts;
}

Finding NcclInterface(const std::vector<NetworkInterface>& interfaces, const std::string& chosen, const std::string& towards) {
  const char* setting = std::getenv("NCCL_SOCKET_IFNAME");
  std::string ranks;
  if (!chosen.empty()) {
    ranks = ChooseInterface(interfaces, chosen).value_or(RankInterface{}).name;
  } else if (const NetworkInterface* owner = InterfaceOf(interfaces, towards); owner != nullptr) {
    ranks = owner->name;
  }
  return CheckNcclInterface(interfaces, setting == nullptr ? "" : setting, ranks, !chosen.empty());
}

}  // namespace

Findings ExamineHost(const HostExamination& host) {
  Findings findings;
  const std::vector<NetworkInterface> interfaces = NetworkInterfaces();
  const NvmlFacts nvml = ProbeGpus();
  findings.push_back(Port("metrics", host.metrics));
  findings.push_back(Port("health", host.health));
  const std::string towards = host.coordinator.empty() ? "" : InterfaceTowards(host.coordinator);
  if (!host.coordinator.empty()) findings.push_back(CheckInterface(interfaces, host.coordinator, towards));
  if (!host.interface.empty()) findings.push_back(CheckChosenInterface(interfaces, host.interface));
  findings.push_back(NcclInterface(interfaces, host.interface, towards));
  findings.push_back(CheckShm(VolumeOf("/dev/shm").size, host.gpu || !nvml.gpus.empty()));
  if (!host.state.empty()) {
    for (Finding& finding : StateFolder(host.state)) findings.push_back(std::move(finding));
  }
  findings.push_back(CheckCores(CoreCount(), host.slots));
  findings.push_back(CheckMemory(MemoryBytes()));
  rlimit files = {};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) findings.push_back(CheckOpenFiles(files.rlim_cur));
  for (Finding& finding : CheckGpus(nvml, host.gpu)) findings.push_back(std::move(finding));
  if (!host.rank_binary.empty()) findings.push_back(RankProgram(host.rank_binary));
  return findings;
}

}  // namespace muster
