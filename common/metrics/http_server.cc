#include "common/metrics/http_server.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/address.h"
#include "common/clock.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

constexpr size_t kMaxRequest = 8 << 10;                       // bytes, headers included
constexpr absl::Duration kReadWithin = absl::Seconds(2);  // a client that sends nothing must not block others
constexpr absl::Duration kWriteWithin = absl::Seconds(10);
constexpr int kBacklog = 16;

std::string Error(const char* status) {
  return absl::StrCat("HTTP/1.1 ", status, "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

absl::StatusOr<OwnedFd> Listen(const std::string& text) {
  ASSIGN_OR_RETURN(const HostPort address, ParseListenAddress(text));
  addrinfo hints = {}, *list = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  if (const int error = getaddrinfo(address.host.c_str(), absl::StrCat(address.port).c_str(), &hints, &list); error != 0) {
    return absl::UnavailableError(absl::StrCat(text, ": ", gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, &freeaddrinfo);
  std::string why = "it has no address";
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    OwnedFd fd(socket(entry->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int on = 1, off = 0;
    if (fd.valid()) {
      setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
      // [::] is every address of the host, as for gRPC's listeners.
      if (entry->ai_family == AF_INET6) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
      if (bind(fd.get(), entry->ai_addr, entry->ai_addrlen) == 0 && listen(fd.get(), kBacklog) == 0) return fd;
    }
    why = std::strerror(errno);
  }
  return absl::UnavailableError(absl::StrCat(text, ": ", why));
}

int PortOf(int listener) {
  sockaddr_storage own = {};
  socklen_t length = sizeof(own);
  if (getsockname(listener, reinterpret_cast<sockaddr*>(&own), &length) != 0) return 0;
  return ntohs(own.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&own)->sin6_port
                                         : reinterpret_cast<sockaddr_in*>(&own)->sin_port);
}

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& address, Handler handler) {
  std::unique_ptr<HttpServer> server(new HttpServer());
  server->handler_ = std::move(handler);
  ASSIGN_OR_RETURN(server->listener_, Listen(address));
  ASSIGN_OR_RETURN(server->stop_, MakePipe());
  server->port_ = PortOf(server->listener_.get());
  server->thread_ = std::thread([raw = server.get()] { raw->Run(); });
  return server;
}

HttpServer::~HttpServer() {
  stop_.write.Close();  // readable at the other end: see WaitFor
  if (thread_.joinable()) thread_.join();
}

bool HttpServer::WaitFor(int fd, short events, absl::Duration deadline) const {
  while (true) {
    pollfd fds[] = {{fd, events, 0}, {stop_.read.get(), POLLIN, 0}};
    const absl::Duration left = deadline - RealClock().Monotonic();
    if (left <= absl::ZeroDuration()) return false;
    const int wait = deadline == absl::InfiniteDuration() ? -1 : static_cast<int>(absl::ToInt64Milliseconds(left)) + 1;
    const int ready = poll(fds, 2, wait);
    if (ready < 0 && errno != EINTR) return false;
    if (fds[1].revents != 0) return false;
    if (ready > 0 && fds[0].revents != 0) return true;
  }
}

void HttpServer::Run() {
  while (WaitFor(listener_.get(), POLLIN, absl::InfiniteDuration())) {
    const OwnedFd connection(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (connection.valid()) {
      Serve(connection.get());
    } else if (errno == EMFILE || errno == ENFILE) {
      WaitFor(-1, 0, RealClock().Monotonic() + absl::Milliseconds(100));  // instead of spinning until a file is closed
    }
  }
}

void HttpServer::Serve(int connection) {
  std::string request;
  const absl::Duration deadline = RealClock().Monotonic() + kReadWithin;
  while (request.find("\r\n\r\n") == std::string::npos) {
    char bytes[4096];
    if (request.size() > kMaxRequest || !WaitFor(connection, POLLIN, deadline)) return;
    const ssize_t got = recv(connection, bytes, sizeof(bytes), 0);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return;
    if (got > 0) request.append(bytes, static_cast<size_t>(got));
  }
  const std::vector<std::string> words = absl::StrSplit(request.substr(0, request.find("\r\n")), ' ');
  std::string answer;
  if (words.size() != 3) {
    answer = Error("400 Bad Request");
  } else if (words[0] != "GET" && words[0] != "HEAD") {
    answer = Error("405 Method Not Allowed");
  } else if (const std::optional<Page> page = handler_(words[1].substr(0, words[1].find('?'))); page.has_value()) {
    answer = absl::StrCat("HTTP/1.1 200 OK\r\nContent-Type: ", page->content_type, "\r\nContent-Length: ",
                          page->body.size(), "\r\nConnection: close\r\n\r\n");
    if (words[0] == "GET") answer += page->body;
  } else {
    answer = Error("404 Not Found");
  }
  if (!SendAll(connection, answer, RealClock().Monotonic() + kWriteWithin)) return;
  shutdown(connection, SHUT_WR);
}

bool HttpServer::SendAll(int connection, std::string_view bytes, absl::Duration deadline) const {
  while (!bytes.empty()) {
    if (!WaitFor(connection, POLLOUT, deadline)) return false;
    const ssize_t sent = send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return false;
    if (sent > 0) bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

}  // namespace muster
