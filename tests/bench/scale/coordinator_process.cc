#include "tests/bench/scale/coordinator_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

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
#include "muster/internal/v1/data_plane.grpc.pb.h"
#include "tests/bench/scale/job_mix.h"

namespace muster::bench {

class StandInData final : public muster::internal::v1::DataPlaneService::Service {
 public:
  absl::Status Start() {
    RpcServer::Options options;
    options.address = "127.0.0.1:0";
    options.security.insecure = true;
    options.services = {this};
    ASSIGN_OR_RETURN(server_, RpcServer::Start(options));
    return absl::OkStatus();
  }
  int port() const { return server_->port(); }
  grpc::Status Resolve(grpc::ServerContext*, const muster::internal::v1::ResolveRequest*,
                       muster::internal::v1::ResolveResponse* response) override {
    *response->mutable_resolved() = ResolvedOfTheMix();
    return grpc::Status::OK;
  }

 private:
  std::unique_ptr<RpcServer> server_;
};

absl::StatusOr<std::unique_ptr<CoordinatorProcess>> CoordinatorProcess::Create(const std::filesystem::path& program,
                                                                               const std::filesystem::path& folder) {
  RETURN_IF_ERROR(MakeFolders(folder));
  std::unique_ptr<CoordinatorProcess> process(new CoordinatorProcess);
  process->program_ = program;
  process->folder_ = folder;
  process->data_ = std::make_unique<StandInData>();
  RETURN_IF_ERROR(process->data_->Start());
  return process;
}

CoordinatorProcess::~CoordinatorProcess() = default;

absl::Status CoordinatorProcess::Start() {
  const std::filesystem::path ports = folder_ / "ports.json";
  std::filesystem::remove(ports);
  ASSIGN_OR_RETURN(const OwnedFd log, OpenFd(folder_ / "coordinator.log", O_WRONLY | O_CREAT | O_APPEND));
  ChildProcess::Options options;
  options.argv = {program_.string(),  "--listen",           absl::StrCat("127.0.0.1:", port_),
                  "--metrics",        "127.0.0.1:0",        "--health",
                  "127.0.0.1:0",      "--state",            (folder_ / "state").string(),
                  "--insecure",       "--data",             absl::StrCat("127.0.0.1:", data_->port()),
                  "--port-file",      ports.string(),       "--calls-per-second",
                  "0",                "--streams",          "0",
                  "--no-progress",    "86400",              "--log-level",
                  "warning"};
  options.fds = {{1, log.get()}, {2, log.get()}};
  ASSIGN_OR_RETURN(child_, ChildProcess::Start(options));
  const absl::Duration until = RealClock().Monotonic() + absl::Seconds(60);
  while (!std::filesystem::exists(ports)) {
    if (RealClock().Monotonic() > until || child_->TryReap().has_value()) {
      return absl::UnavailableError(absl::StrCat("the coordinator did not start. See ", (folder_ / "coordinator.log").string()));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ASSIGN_OR_RETURN(const std::string text, ReadFile(ports));
  const nlohmann::json parsed = nlohmann::json::parse(text);
  port_ = parsed["port"];
  metrics_port_ = parsed["metrics_port"];
  return absl::OkStatus();
}

void CoordinatorProcess::Kill() {
  child_->Signal(SIGKILL);
  child_->WaitFor(absl::Seconds(10));
  child_.reset();
}

std::string CoordinatorProcess::address() const { return absl::StrCat("127.0.0.1:", port_); }

std::shared_ptr<grpc::Channel> CoordinatorProcess::Channel() const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  return grpc::CreateCustomChannel(address(), grpc::InsecureChannelCredentials(), arguments);
}

double CoordinatorProcess::CpuSeconds() const {
  std::ifstream file(absl::StrCat("/proc/", child_->pid(), "/stat"));
  std::stringstream text;
  text << file.rdbuf();
  const std::string all = text.str();
  const std::vector<std::string> fields = absl::StrSplit(all.substr(all.rfind(')') + 2), ' ');
  double user = 0, system = 0;
  if (!absl::SimpleAtod(fields[11], &user) || !absl::SimpleAtod(fields[12], &system)) return 0;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double CoordinatorProcess::ResidentMiB() const {
  std::ifstream file(absl::StrCat("/proc/", child_->pid(), "/statm"));
  double total = 0, resident = 0;
  file >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 20);
}

absl::StatusOr<double> CoordinatorProcess::Metric(const std::string& line) const {
  const OwnedFd connection(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(metrics_port_));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(connection.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) {
    return absl::UnavailableError("the coordinator's metrics cannot be reached");
  }
  const std::string request = "GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";
  if (write(connection.get(), request.data(), request.size()) != static_cast<ssize_t>(request.size())) {
    return absl::UnavailableError("the coordinator's metrics cannot be asked for");
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
