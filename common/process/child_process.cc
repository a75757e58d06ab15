#include "common/process/child_process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace muster {
namespace {

constexpr int kFirstSpareFd = 64;  // above every descriptor number that a child is given

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& text : strings) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// Everything that the child needs, prepared before the fork, because only async-signal-safe calls are allowed after it.
struct Plan {
  std::vector<char*> argv, environment;
  const char* working_directory;
  const std::vector<ChildProcess::FdMapping>& fds;
  bool own_group;
  pid_t parent;
  int error_fd;  // closes on exec; if exec fails, the child writes errno to it
  const cpu_set_t* cpus;  // null: this process's
};

[[noreturn]] void Fail(int error_fd) {
  const int error = errno;
  [[maybe_unused]] const ssize_t written = write(error_fd, &error, sizeof(error));
  _exit(127);
}

[[noreturn]] void RunChild(const Plan& plan) {
  int error_fd = fcntl(plan.error_fd, F_DUPFD_CLOEXEC, kFirstSpareFd);
  if (error_fd < 0) _exit(127);
  if (plan.own_group) setpgid(0, 0);
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) Fail(error_fd);
  if (getppid() != plan.parent) _exit(127);  // the parent ended between fork and prctl
  struct sigaction defaults = {};
  defaults.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) sigaction(signal, &defaults, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  // Move the sources out of the way first: one may have the number that another one is mapped to.
  int spare[16];
  for (size_t i = 0; i < plan.fds.size(); ++i) {
    spare[i] = fcntl(plan.fds[i].ours, F_DUPFD_CLOEXEC, kFirstSpareFd);
    if (spare[i] < 0) Fail(error_fd);
  }
  if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) Fail(error_fd);
  for (size_t i = 0; i < plan.fds.size(); ++i) {
    if (dup2(spare[i], plan.fds[i].child) < 0) Fail(error_fd);
  }
  if (plan.cpus != nullptr && sched_setaffinity(0, sizeof(*plan.cpus), plan.cpus) != 0) Fail(error_fd);
  if (plan.working_directory != nullptr && chdir(plan.working_directory) != 0) Fail(error_fd);
  execve(plan.argv[0], plan.argv.data(), plan.environment.data());
  Fail(error_fd);
}

absl::Status ErrnoStatus(int error, const std::string& what) {
  return absl::ErrnoToStatus(error, what);
}

}  // namespace

OwnedFd& OwnedFd::operator=(OwnedFd&& other) noexcept {
  if (this != &other) {
    Close();
    fd_ = other.Release();
  }
  return *this;
}

int OwnedFd::Release() { return std::exchange(fd_, -1); }

void OwnedFd::Close() {
  if (fd_ >= 0) close(Release());
}

absl::StatusOr<OwnedFd> OpenFd(const std::filesystem::path& path, int flags, unsigned mode) {
  OwnedFd fd(open(path.c_str(), flags | O_CLOEXEC, mode));
  if (!fd.valid()) return ErrnoStatus(errno, path.string());
  return fd;
}

absl::StatusOr<Pipe> MakePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "cannot make a pipe");
  Pipe pipe{OwnedFd(ends[0]), OwnedFd(ends[1])};
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return pipe;
}

bool ReadAvailable(int fd, std::string& bytes, size_t limit) {
  std::array<char, 16384> buffer;
  for (size_t total = 0; total < limit;) {
    const ssize_t count = read(fd, buffer.data(), buffer.size());
    if (count > 0) {
      bytes.append(buffer.data(), static_cast<size_t>(count));
      total += static_cast<size_t>(count);
    } else if (count == 0) {
      return false;
    } else if (errno != EINTR) {
      return errno == EAGAIN || errno == EWOULDBLOCK;
    }
  }
  return true;
}

std::string DescribeExit(const ExitStatus& status) {
  if (status.signal == 0) return absl::StrCat("exit code ", status.exit_code);
  const char* name = sigabbrev_np(status.signal);
  return name != nullptr ? absl::StrCat("killed by SIG", name) : absl::StrCat("killed by signal ", status.signal);
}

absl::StatusOr<ChildProcess> ChildProcess::Start(const Options& options) {
  if (options.argv.empty()) return absl::InvalidArgumentError("a child process needs a program");
  if (options.fds.size() > 16) return absl::InvalidArgumentError("a child process takes at most 16 file descriptors");
  ASSIGN_OR_RETURN(Pipe errors, MakePipe());
  fcntl(errors.read.get(), F_SETFL, 0);  // reading from this end blocks
  Plan plan{Pointers(options.argv), {}, nullptr, options.fds, options.own_group, getpid(), errors.write.get(),
            nullptr};
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  for (const uint32_t cpu : options.cpus) {
    if (cpu >= CPU_SETSIZE) return absl::InvalidArgumentError(absl::StrCat("processor ", cpu, " is out of range"));
    CPU_SET(cpu, &cpus);
  }
  if (!options.cpus.empty()) plan.cpus = &cpus;
  if (options.environment.has_value()) {
    plan.environment = Pointers(*options.environment);
  } else {
    for (char** entry = environ; *entry != nullptr; ++entry) plan.environment.push_back(*entry);
    plan.environment.push_back(nullptr);
  }
  if (!options.working_directory.empty()) plan.working_directory = options.working_directory.c_str();

  // None of this process's signal handlers may run in the child.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = fork();
  if (pid == 0) RunChild(plan);
  const int fork_error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return ErrnoStatus(fork_error, absl::StrCat("cannot start ", options.argv[0]));

  ChildProcess child;
  child.pid_ = pid;
  child.own_group_ = options.own_group;
  if (options.own_group) setpgid(pid, pid);  // also set here, because a signal may be sent before the child has run
  child.pidfd_ = OwnedFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!child.pidfd_.valid()) {
    const int error = errno;
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    child.pid_ = -1;
    return ErrnoStatus(error, "pidfd_open (it needs Linux 5.3)");
  }
  errors.write.Close();
  int error = 0;
  ssize_t count;
  do {
    count = read(errors.read.get(), &error, sizeof(error));
  } while (count < 0 && errno == EINTR);
  if (count == sizeof(error)) return ErrnoStatus(error, absl::StrCat("cannot start ", options.argv[0]));
  return child;
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), own_group_(other.own_group_), pidfd_(std::move(other.pidfd_)),
      status_(other.status_) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this != &other) {
    End();
    pid_ = std::exchange(other.pid_, -1);
    own_group_ = other.own_group_;
    pidfd_ = std::move(other.pidfd_);
    status_ = other.status_;
  }
  return *this;
}

ChildProcess::~ChildProcess() { End(); }

void ChildProcess::End() {
  if (pid_ < 0 || status_.has_value()) return;
  Signal(SIGKILL);
  WaitFor(absl::InfiniteDuration());
}

void ChildProcess::Signal(int signal) {
  // The pid cannot belong to another process: only TryReap reaps the child.
  if (pid_ > 0 && !status_.has_value()) kill(own_group_ ? -pid_ : pid_, signal);
}

std::optional<ExitStatus> ChildProcess::TryReap() {
  if (pid_ < 0 || status_.has_value()) return status_;
  siginfo_t info = {};
  if (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) {
    return std::nullopt;
  }
  if (own_group_) kill(-pid_, SIGKILL);  // while the zombie still holds the group's id
  waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED);
  status_ = info.si_code == CLD_EXITED ? ExitStatus{info.si_status, 0} : ExitStatus{-1, info.si_status};
  return status_;
}

std::optional<ExitStatus> ChildProcess::WaitFor(absl::Duration timeout) {
  if (pid_ < 0 || status_.has_value()) return status_;
  pollfd ready{pidfd_.get(), POLLIN, 0};
  const int milliseconds =
      timeout == absl::InfiniteDuration() ? -1 : static_cast<int>(absl::ToInt64Milliseconds(timeout));
  while (poll(&ready, 1, milliseconds) < 0 && errno == EINTR) {
  }
  return TryReap();
}

}  // namespace muster
