// Child processes without SIGCHLD: a child is a pidfd, which becomes readable when the child ends.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace muster {

// A file descriptor that is closed with its owner. Movable.
class OwnedFd {
 public:
  OwnedFd() = default;
  explicit OwnedFd(int fd) : fd_(fd) {}
  OwnedFd(OwnedFd&& other) noexcept : fd_(other.Release()) {}
  OwnedFd& operator=(OwnedFd&& other) noexcept;
  ~OwnedFd() { Close(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release();
  void Close();

 private:
  int fd_ = -1;
};

// open(2), closed on exec. Errors name the path.
absl::StatusOr<OwnedFd> OpenFd(const std::filesystem::path& path, int flags, unsigned mode = 0644);

struct Pipe {
  OwnedFd read, write;
};
// Both ends close on exec; the read end does not block.
absl::StatusOr<Pipe> MakePipe();

// Reads what is available and appends it to `bytes`. False once the other end is closed (or broken).
bool ReadAvailable(int fd, std::string& bytes, size_t limit = 1 << 20);

struct ExitStatus {
  int exit_code = 0;  // -1 when a signal ended it
  int signal = 0;     // 0 when it ended by itself
};
std::string DescribeExit(const ExitStatus& status);  // "exit code 3", "killed by SIGKILL"

// Movable. The owner ends the child: the destructor kills the child's group and reaps it, if that was not done before.
class ChildProcess {
 public:
  struct FdMapping {
    int child;  // number in the child: 0, 1, 2, 3, …
    int ours;
  };
  struct Options {
    std::vector<std::string> argv;  // argv[0] is the program's path
    std::optional<std::vector<std::string>> environment;  // "NAME=value"; absent: this process's
    std::vector<FdMapping> fds;  // all others are closed, except that 0 to 2 are inherited unless named here
    std::filesystem::path working_directory;  // empty: this process's
    std::vector<uint32_t> cpus;               // the processors that it may run on; empty: this process's
    bool own_group = true;  // leads a process group, so that a signal also reaches its own children
  };

  // The child is killed by the kernel when the *thread* that called Start ends (PR_SET_PDEATHSIG): call it from a
  // thread that lives as long as the process. Signals are at their defaults and unblocked in the child.
  // Errors: NOT_FOUND and others of exec, with the program's path.
  static absl::StatusOr<ChildProcess> Start(const Options& options);

  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ~ChildProcess();

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }  // readable once the child has ended

  // Sends a signal to the child's group, or only to the child without own_group. No effect after the child was reaped.
  void Signal(int signal);

  // Reaps the child if it has ended; never blocks. Kills the rest of its group first.
  std::optional<ExitStatus> TryReap();
  // The same, after waiting at most `timeout`.
  std::optional<ExitStatus> WaitFor(absl::Duration timeout);

 private:
  ChildProcess() = default;
  void End();

  pid_t pid_ = -1;
  bool own_group_ = true;
  OwnedFd pidfd_;
  std::optional<ExitStatus> status_;
};

}  // namespace muster
