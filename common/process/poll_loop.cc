#include "common/process/poll_loop.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <utility>

namespace muster {

absl::StatusOr<std::unique_ptr<PollLoop>> PollLoop::Create() {
  std::unique_ptr<PollLoop> loop(new PollLoop());
  loop->epoll_ = OwnedFd(epoll_create1(EPOLL_CLOEXEC));
  loop->wake_ = OwnedFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!loop->epoll_.valid() || !loop->wake_.valid()) return absl::ErrnoToStatus(errno, "cannot make an event loop");
  loop->Watch(loop->wake_.get(), [loop = loop.get()] { loop->RunPosted(); });
  return loop;
}

void PollLoop::Watch(int fd, std::function<void()> on_ready) {
  const bool known = watched_.contains(fd);
  watched_[fd] = std::make_shared<std::function<void()>>(std::move(on_ready));
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (!known) epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

void PollLoop::Forget(int fd) {
  if (watched_.erase(fd) > 0) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

absl::Status PollLoop::WatchSignals(const std::vector<int>& signals, std::function<void(int)> on_signal) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signals_ = OwnedFd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_.valid()) return absl::ErrnoToStatus(errno, "cannot wait for signals");
  Watch(signals_.get(), [this, on_signal = std::move(on_signal)] {
    signalfd_siginfo info;
    while (read(signals_.get(), &info, sizeof(info)) == sizeof(info)) on_signal(static_cast<int>(info.ssi_signo));
  });
  return absl::OkStatus();
}

void PollLoop::Post(std::function<void()> call) {
  {
    absl::MutexLock lock(&mutex_);
    posted_.push_back(std::move(call));
  }
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof(one));
}

void PollLoop::RunPosted() {
  uint64_t count;
  [[maybe_unused]] const ssize_t taken = read(wake_.get(), &count, sizeof(count));
  std::vector<std::function<void()>> calls;
  {
    absl::MutexLock lock(&mutex_);
    calls.swap(posted_);
  }
  for (const auto& call : calls) call();
}

void PollLoop::RunOnce(absl::Duration timeout) {
  int milliseconds = -1;
  if (timeout != absl::InfiniteDuration()) {
    // Rounded up, so that a deadline that is almost reached does not cause spinning.
    milliseconds = static_cast<int>(absl::ToInt64Milliseconds(
        absl::Ceil(std::clamp(timeout, absl::ZeroDuration(), absl::Hours(1)), absl::Milliseconds(1))));
  }
  std::array<epoll_event, 64> events;
  const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), milliseconds);
  for (int i = 0; i < count; ++i) {
    const auto found = watched_.find(events[i].data.fd);
    if (found == watched_.end()) continue;  // forgotten by an earlier callback
    const std::shared_ptr<std::function<void()>> callback = found->second;  // the callback may remove itself
    (*callback)();
  }
}

}  // namespace muster
