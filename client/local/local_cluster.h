// A cluster of one machine: data server, coordinator and one worker as supervised children.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/local/server_child.h"
#include "common/clock.h"
#include "common/process/poll_loop.h"

namespace muster {

// STATE: certs/{authority,coordinator,data,worker,user}, tokens.yaml and user.token (its secret, new at every start),
// coordinator/, data/, worker/, logs/, run/ (port files), lock,
// and local.json {address, certs, pids: {…}, metrics: {…}, health: {…}} while the cluster runs.
class LocalCluster {
 public:
  struct Options {
    std::filesystem::path state;       // absolute
    std::filesystem::path bin_folder;  // of the server programs
    std::optional<uint32_t> slots;
    // The coordinator's port; 0: a free one. Absent: the usual one, or a free one if that is in use.
    std::optional<int> port;
    int usual_port = 7070;
    absl::Duration start_timeout = absl::Seconds(60);
    absl::Duration stop_timeout = absl::Seconds(25);  // an agent gives its ranks 10 s to save, and then 10 s to end
    // Checks whether a server answers, and whether the coordinator lists a ready worker.
    std::function<bool(const std::string& address)> serves;
    std::function<bool(const std::string& address)> has_worker;
  };
  // From here on, SIGINT, SIGTERM and SIGHUP are delivered to the cluster. Children end with the calling thread.
  static absl::StatusOr<std::unique_ptr<LocalCluster>> Create(Options options, const Clock& clock);

  // Starts the servers one after the other, each when the previous one answers. CANCELLED if a signal arrived.
  absl::Status Start();

  // Supervises until a signal comes, or until `command` has ended; returns the exit code.
  absl::StatusOr<int> Run(const std::vector<std::string>& command);

  // Ends the worker first, so that it can notify the coordinator, then the others.
  void Stop();

  std::string address() const;
  std::filesystem::path user_certificates() const { return options_.state / "certs" / "user"; }
  std::filesystem::path tokens() const { return options_.state / "tokens.yaml"; }      // of the servers
  std::filesystem::path user_token() const { return options_.state / "user.token"; }  // an operator's token
  PollLoop& loop() { return *loop_; }

 private:
  LocalCluster(Options options, const Clock& clock) : options_(std::move(options)), clock_(clock) {}
  ServerChild::Options ServerOptions(const std::string& name, ServerPorts ports, std::vector<std::string> more);
  absl::Status StartCoordinator(int port);
  absl::Status StartServer(ServerChild& server, const std::function<bool()>& is_ready);
  void Supervise();
  absl::Status WriteInfo() const;
  absl::StatusOr<int> RunCommand(const std::vector<std::string>& command);
  absl::Duration NextRestart() const;
  void StopServers(const std::vector<ServerChild*>& servers);
  std::vector<ServerChild*> servers();

  const Options options_;
  const Clock& clock_;
  OwnedFd lock_;
  std::unique_ptr<PollLoop> loop_;
  std::optional<ServerChild> data_, coordinator_, worker_;
  bool started_ = false;
  int signal_ = 0;
};

}  // namespace muster
