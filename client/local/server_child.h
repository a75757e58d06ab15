// Keeps a server program running: restarts it when it ends, on the same ports.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/process/child_process.h"
#include "common/process/poll_loop.h"

namespace muster {

struct ServerPorts {
  int port = 0;  // 0: a free port, which is kept across restarts
  int metrics_port = 0;
  int health_port = 0;
};

// A port file: {"port": 7070, "metrics_port": 7071, "health_port": 7080}. `port` is absent if the program has none.
absl::StatusOr<ServerPorts> ReadPortFile(const std::filesystem::path& file);

// The pause before the next start, after the program has ended `failures` times in a row: 200 ms, doubled up to 5 s.
absl::Duration RestartDelay(int failures);

class ServerChild {
 public:
  struct Options {
    std::string name;  // coordinator
    std::function<std::vector<std::string>(const ServerPorts&)> arguments;  // argv, including the path of the port file
    std::filesystem::path port_file;
    std::filesystem::path log_file;  // its output is appended
    ServerPorts ports;
    PollLoop* loop = nullptr;
    std::function<void()> on_end;    // it ended without having been asked to
  };
  explicit ServerChild(Options options) : options_(std::move(options)) {}
  ~ServerChild();
  ServerChild(const ServerChild&) = delete;
  ServerChild& operator=(const ServerChild&) = delete;

  // Starts the server. If that fails, plans the next start.
  absl::Status Start(absl::Duration now);

  // Reads the port file once it exists. True when the ports are known.
  bool LearnPorts();
  const ServerPorts& ports() const { return options_.ports; }

  bool running() const { return process_.has_value(); }
  pid_t pid() const { return process_.has_value() ? process_->pid() : 0; }
  const std::string& name() const { return options_.name; }
  const std::optional<absl::Duration>& restart_at() const { return restart_at_; }
  const std::string& end() const { return end_; }  // how it ended last
  std::string last_words() const;  // how it ended, and the last line of its log

  void Signal(int signal);  // asks it to end, and prevents a restart
  // Reaps the server if it has ended, and plans its next start.
  void Check(absl::Duration now);

 private:
  absl::StatusOr<ChildProcess> StartProcess() const;

  Options options_;
  std::optional<ChildProcess> process_;
  std::optional<absl::Duration> restart_at_;
  absl::Duration started_at_;
  std::string end_;
  int failures_ = 0;
  bool asked_to_end_ = false;
};

}  // namespace muster
