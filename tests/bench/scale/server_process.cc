#include "tests/bench/scale/server_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/rpc/security.h"
#include "common/status.h"

namespace muster::bench {
namespace {

// The value of a line of /proc/PID/status ("VmHWM:"), in MiB; 0 if there is none.
double StatusMiB(pid_t pid, const std::string& name) {
  std::ifstream status(absl::StrCat("/proc/", pid, "/status"));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name + ":")) return std::strtod(line.c_str() + name.size() + 1, nullptr) / 1024;
  }
  return 0;
}

}  // namespace

std::vector<std::string> ServerProcess::ArgumentsOfCoordinator(const std::string& data_address) {
  return {"--data", data_address, "--no-progress", "86400"};
}

absl::Status ServerProcess::Start() {
  const std::filesystem::path ports = options_.folder / "ports.json", log_file = options_.folder / "server.log";
  RETURN_IF_ERROR(MakeFolders(options_.folder));
  std::filesystem::remove(ports);
  ASSIGN_OR_RETURN(const OwnedFd log, OpenFd(log_file, O_WRONLY | O_CREAT | O_APPEND));
  const auto at = [](int port) { return absl::StrCat("127.0.0.1:", port); };
  ChildProcess::Options options;
  options.argv = {options_.program.string(), "--listen",           at(port_),
                  "--metrics",               at(0),                "--health",
                  at(health_port_),          "--state",            (options_.folder / "state").string(),
                  "--insecure",              "--port-file",        ports.string(),
                  "--calls-per-second",      "0",                  "--streams",
                  "0",                       "--log-level",        "warning"};
  options.argv.insert(options.argv.end(), options_.arguments.begin(), options_.arguments.end());
  options.fds = {{1, log.get()}, {2, log.get()}};
  ASSIGN_OR_RETURN(child_, ChildProcess::Start(options));
  const absl::Duration until = RealClock().Monotonic() + absl::Seconds(60);
  while (!std::filesystem::exists(ports)) {
    if (RealClock().Monotonic() > until || child_->TryReap().has_value()) {
      return absl::UnavailableError(
          absl::StrCat(options_.program.filename().string(), " did not start. See ", log_file.string()));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ASSIGN_OR_RETURN(const std::string text, ReadFile(ports));
  const nlohmann::json parsed = nlohmann::json::parse(text);
  port_ = parsed["port"];
  metrics_port_ = parsed["metrics_port"];
  health_port_ = parsed["health_port"];
  return absl::OkStatus();
}

void ServerProcess::Kill() {
  child_->Signal(SIGKILL);
  child_->WaitFor(absl::Seconds(10));
  child_.reset();
}

std::string ServerProcess::address() const { return absl::StrCat("127.0.0.1:", port_); }
std::string ServerProcess::health_address() const { return absl::StrCat("127.0.0.1:", health_port_); }

std::shared_ptr<grpc::Channel> ServerProcess::Channel() const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  return grpc::CreateCustomChannel(address(), grpc::InsecureChannelCredentials(), arguments);
}

double ServerProcess::CpuSeconds() const {
  std::ifstream file(absl::StrCat("/proc/", child_->pid(), "/stat"));
  std::stringstream text;
  text << file.rdbuf();
  const std::string all = text.str();
  const std::vector<std::string> fields = absl::StrSplit(all.substr(all.rfind(')') + 2), ' ');
  double user = 0, system = 0;
  if (!absl::SimpleAtod(fields[11], &user) || !absl::SimpleAtod(fields[12], &system)) return 0;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double ServerProcess::ResidentMiB() const { return StatusMiB(child_->pid(), "VmRSS"); }
double ServerProcess::PeakMiB() const { return StatusMiB(child_->pid(), "VmHWM"); }
void ServerProcess::BeginPeak() const { std::ofstream(absl::StrCat("/proc/", child_->pid(), "/clear_refs")) << 5; }

absl::StatusOr<double> ServerProcess::Metric(const std::string& line) const {
  const OwnedFd connection(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(metrics_port_));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(connection.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) {
    return absl::UnavailableError("the server's metrics cannot be reached");
  }
  const std::string request = "GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";
  if (write(connection.get(), request.data(), request.size()) != static_cast<ssize_t>(request.size())) {
    return absl::UnavailableError("the server's metrics cannot be requested");
  }
  std::string page(1 << 16, '\0'), all;
  for (ssize_t got = 0; (got = read(connection.get(), page.data(), page.size())) > 0;) {
    all.append(page.data(), static_cast<size_t>(got));
  }
  for (const absl::string_view row : absl::StrSplit(all, '\n')) {
    double value = 0;
    if (row.substr(0, line.size() + 1) == absl::StrCat(line, " ") && absl::SimpleAtod(row.substr(line.size() + 1), &value)) {
      return value;
    }
  }
  return absl::NotFoundError(absl::StrCat("no series ", line));
}

}  // namespace muster::bench
