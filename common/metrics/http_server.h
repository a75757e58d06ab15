// The part of HTTP/1.1 that a scraper needs: GET and HEAD of small pages, over IPv4 and IPv6, one connection after the other.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "absl/status/statusor.h"
#include "common/process/child_process.h"

namespace muster {

class HttpServer {
 public:
  struct Page {
    std::string content_type, body;
  };
  // Called on the server's thread. Nothing: the server answers 404.
  using Handler = std::function<std::optional<Page>(const std::string& path)>;

  // Listens on HOST:PORT; port 0 picks a free one. INVALID_ARGUMENT: not an address. UNAVAILABLE: cannot be bound.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& address, Handler handler);
  ~HttpServer();  // interrupts a request that is being answered
  int port() const { return port_; }

 private:
  HttpServer() = default;
  void Run();
  void Serve(int connection);
  // False: the deadline has passed, or the server is ending.
  bool WaitFor(int fd, short events, absl::Duration deadline) const;
  bool SendAll(int connection, std::string_view bytes, absl::Duration deadline) const;

  Handler handler_;
  OwnedFd listener_;
  Pipe stop_;
  int port_ = 0;
  std::thread thread_;
};

}  // namespace muster
