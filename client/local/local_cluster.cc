#include "client/local/local_cluster.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/exit_code.h"
#include "common/files.h"
#include "common/process/lock_file.h"
#include "common/rpc/access/tokens.h"
#include "common/rpc/certificates.h"
#include "common/status.h"

namespace muster {
namespace {

constexpr char kLoopback[] = "127.0.0.1:";
constexpr char kWorkerName[] = "local";
constexpr char kUserName[] = "local";  // in the certificate and the token
constexpr absl::Duration kTokenLifetime = absl::Hours(24 * 365);
constexpr absl::Duration kPollEvery = absl::Milliseconds(50);  // while servers start

absl::Status PrepareCertificates(const std::filesystem::path& certs) {
  RETURN_IF_ERROR(MakeFolders(certs));
  std::filesystem::permissions(certs, std::filesystem::perms::owner_all);
  RETURN_IF_ERROR(MakeAuthority(certs / "authority"));
  // Certificates are issued again at every start, so that they do not expire in a cluster that is used for years.
  const CertificateRequest requests[] = {{Role::kCoordinator, "coordinator"},
                                         {Role::kData, "data"},
                                         {Role::kWorker, kWorkerName},
                                         {Role::kOperator, kUserName}};
  for (const CertificateRequest& request : requests) {
    const bool person = IsPerson(request.role);
    RETURN_IF_ERROR(IssueCertificate(certs / "authority", request, certs / (person ? "user" : std::string(RoleName(request.role)))));
  }
  return absl::OkStatus();
}

// Makes a new token for the user at every start. Tokens of others stay.
absl::Status PrepareToken(const std::filesystem::path& tokens, const std::filesystem::path& secret_file, absl::Time now) {
  std::vector<TokenEntry> entries;
  if (const auto text = ReadFile(tokens); text.ok()) {
    ASSIGN_OR_RETURN(entries, ParseTokens(*text, tokens.string()));
  }
  std::erase_if(entries, [](const TokenEntry& entry) { return entry.user == kUserName; });
  const std::string secret = DrawToken();
  entries.push_back({kUserName, Role::kOperator, Sha256Hex(secret), now + kTokenLifetime});
  RETURN_IF_ERROR(WriteFileAtomically(secret_file, secret + "\n", 0600));
  return WriteFileAtomically(tokens, FormatTokens(entries), 0600);
}

// Whether nothing listens on the port of the loopback interface.
bool IsFree(int port) {
  const OwnedFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int reuse = 1;  // ignore connections that have just ended
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<LocalCluster>> LocalCluster::Create(Options options, const Clock& clock) {
  std::unique_ptr<LocalCluster> cluster(new LocalCluster(std::move(options), clock));
  const std::filesystem::path& state = cluster->options_.state;
  RETURN_IF_ERROR(MakeFolders(state));
  ASSIGN_OR_RETURN(cluster->lock_, LockFile(state / "lock", "muster local"));
  for (const char* folder : {"coordinator", "data", "worker", "logs", "run"}) RETURN_IF_ERROR(MakeFolders(state / folder));
  std::error_code ignored;
  std::filesystem::remove(state / "local.json", ignored);
  RETURN_IF_ERROR(PrepareCertificates(state / "certs"));
  RETURN_IF_ERROR(PrepareToken(cluster->tokens(), cluster->user_token(), clock.Now()));
  ASSIGN_OR_RETURN(cluster->loop_, PollLoop::Create());
  RETURN_IF_ERROR(cluster->loop_->WatchSignals({SIGINT, SIGTERM, SIGHUP},
                                               [cluster = cluster.get()](int signal) { cluster->signal_ = signal; }));
  return cluster;
}

ServerChild::Options LocalCluster::ServerOptions(const std::string& name, ServerPorts ports, std::vector<std::string> more) {
  const std::filesystem::path& state = options_.state;
  ServerChild::Options server;
  server.name = name;
  server.port_file = state / "run" / (name + ".json");
  server.log_file = state / "logs" / (name + ".log");
  server.ports = ports;
  server.loop = loop_.get();
  server.on_end = [this] { Supervise(); };
  server.arguments = [this, name, more = std::move(more), port_file = server.port_file](const ServerPorts& known) {
    std::vector<std::string> arguments = {(options_.bin_folder / ("muster-" + name)).string(),
                                          "--metrics", absl::StrCat(kLoopback, known.metrics_port),
                                          "--health", absl::StrCat(kLoopback, known.health_port),
                                          "--state", (options_.state / name).string(),
                                          "--certs", (options_.state / "certs" / name).string(),
                                          "--port-file", port_file.string()};
    if (name != "worker") {
      arguments.insert(arguments.end(), {"--listen", absl::StrCat(kLoopback, known.port), "--tokens", tokens().string()});
    }
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  return server;
}

absl::Status LocalCluster::StartCoordinator(int port) {
  coordinator_.emplace(ServerOptions("coordinator", {port, 0, 0}, {"--data", absl::StrCat(kLoopback, data_->ports().port)}));
  return StartServer(*coordinator_, [this] {
    return coordinator_->LearnPorts() && options_.serves(absl::StrCat(kLoopback, coordinator_->ports().port));
  });
}

absl::Status LocalCluster::Start() {
  data_.emplace(ServerOptions("data", {}, {}));
  RETURN_IF_ERROR(StartServer(
      *data_, [this] { return data_->LearnPorts() && options_.serves(absl::StrCat(kLoopback, data_->ports().port)); }));
  const bool usual = !options_.port.has_value() && IsFree(options_.usual_port);
  absl::Status status = StartCoordinator(usual ? options_.usual_port : options_.port.value_or(0));
  // Another program may take the usual port before the server does.
  if (usual && absl::IsUnavailable(status) && !IsFree(options_.usual_port)) status = StartCoordinator(0);
  RETURN_IF_ERROR(status);
  if (!options_.port.has_value() && coordinator_->ports().port != options_.usual_port) {
    std::fprintf(stderr, "muster local: port %d is taken; the coordinator listens on %d\n", options_.usual_port,
                 coordinator_->ports().port);
  }
  std::vector<std::string> worker = {"--coordinator", address(), "--name", kWorkerName, "--drain-timeout", "10"};
  if (options_.slots.has_value()) worker.insert(worker.end(), {"--slots", absl::StrCat(*options_.slots)});
  worker_.emplace(ServerOptions("worker", {}, std::move(worker)));
  RETURN_IF_ERROR(StartServer(*worker_, [this] { return worker_->LearnPorts() && options_.has_worker(address()); }));
  started_ = true;
  return WriteInfo();
}

absl::Status LocalCluster::StartServer(ServerChild& server, const std::function<bool()>& is_ready) {
  const absl::Duration deadline = clock_.Monotonic() + options_.start_timeout;
  RETURN_IF_ERROR(server.Start(clock_.Monotonic()));
  while (!is_ready()) {
    const std::string log = (options_.state / "logs" / (server.name() + ".log")).string();
    if (!server.running()) {
      return absl::UnavailableError(absl::StrCat("muster-", server.name(), " ended: ", server.last_words(), " (see ", log, ")"));
    }
    if (signal_ != 0) return absl::CancelledError("stopped while starting");
    if (clock_.Monotonic() > deadline) {
      return absl::DeadlineExceededError(absl::StrCat("muster-", server.name(), " is not ready after ",
                                                      absl::FormatDuration(options_.start_timeout), " (see ", log, ")"));
    }
    loop_->RunOnce(kPollEvery);
  }
  return absl::OkStatus();
}

// Notices which processes ended, and starts those that are due. While the cluster starts, an end is final: StartServer reports it.
void LocalCluster::Supervise() {
  const absl::Duration now = clock_.Monotonic();
  bool changed = false;
  for (ServerChild* server : servers()) {
    const bool was_running = server->running();
    server->Check(now);
    if (was_running && !server->running() && server->restart_at().has_value() && started_) {
      std::fprintf(stderr, "muster local: %s ended (%s; see logs/%s.log) and is being restarted\n", server->name().c_str(),
                   server->end().c_str(), server->name().c_str());
    }
    if (started_ && server->restart_at().has_value() && *server->restart_at() <= now) {
      const absl::Status status = server->Start(now);
      if (!status.ok()) std::fprintf(stderr, "muster local: %s\n", std::string(status.message()).c_str());
      changed = true;
    }
  }
  if (changed) {
    const absl::Status status = WriteInfo();
    if (!status.ok()) std::fprintf(stderr, "muster local: %s\n", std::string(status.message()).c_str());
  }
}

absl::Duration LocalCluster::NextRestart() const {
  absl::Duration next = absl::InfiniteDuration();
  for (const auto* server : {&data_, &coordinator_, &worker_}) {
    if (server->has_value() && (*server)->restart_at().has_value()) next = std::min(next, *(*server)->restart_at());
  }
  return next;
}

absl::StatusOr<int> LocalCluster::Run(const std::vector<std::string>& command) {
  if (!command.empty()) return RunCommand(command);
  while (signal_ == 0) {
    loop_->RunOnce(NextRestart() - clock_.Monotonic());
    Supervise();
  }
  return kExitSucceeded;
}

absl::StatusOr<int> LocalCluster::RunCommand(const std::vector<std::string>& command) {
  ChildProcess::Options options;
  options.argv = {"/usr/bin/env", absl::StrCat("MUSTER_ADDRESS=", address()),
                  absl::StrCat("MUSTER_CERTS=", user_certificates().string())};
  options.argv.insert(options.argv.end(), command.begin(), command.end());
  options.own_group = false;  // it shares the terminal, and receives Ctrl-C by itself
  ASSIGN_OR_RETURN(ChildProcess child, ChildProcess::Start(options));
  loop_->Watch(child.pidfd(), [] {});
  std::optional<absl::Duration> kill_at;
  std::optional<ExitStatus> status;
  while (!(status = child.TryReap()).has_value()) {
    const absl::Duration now = clock_.Monotonic();
    if (signal_ != 0 && !kill_at.has_value()) {
      if (signal_ != SIGINT) child.Signal(signal_);
      kill_at = now + options_.stop_timeout;
    }
    if (kill_at.has_value() && now >= *kill_at) child.Signal(SIGKILL);
    loop_->RunOnce(std::min(NextRestart(), kill_at.value_or(absl::InfiniteDuration())) - now);
    Supervise();
  }
  loop_->Forget(child.pidfd());
  return status->signal == 0 ? status->exit_code : 128 + status->signal;
}

void LocalCluster::Stop() {
  started_ = false;
  std::error_code ignored;
  std::filesystem::remove(options_.state / "local.json", ignored);
  if (worker_.has_value()) StopServers({&*worker_});
  StopServers(servers());
}

void LocalCluster::StopServers(const std::vector<ServerChild*>& servers) {
  const absl::Duration deadline = clock_.Monotonic() + options_.stop_timeout;
  for (ServerChild* server : servers) server->Signal(SIGTERM);
  const auto any_runs = [&] {
    for (ServerChild* server : servers) {
      server->Check(clock_.Monotonic());
      if (server->running()) return true;
    }
    return false;
  };
  for (absl::Duration now; any_runs() && (now = clock_.Monotonic()) < deadline;) loop_->RunOnce(deadline - now);
  for (ServerChild* server : servers) server->Signal(SIGKILL);
  while (any_runs()) loop_->RunOnce(absl::InfiniteDuration());
}

std::vector<ServerChild*> LocalCluster::servers() {
  std::vector<ServerChild*> found;
  for (auto* server : {&data_, &coordinator_, &worker_}) {
    if (server->has_value()) found.push_back(&**server);
  }
  return found;
}

std::string LocalCluster::address() const { return absl::StrCat(kLoopback, coordinator_->ports().port); }

absl::Status LocalCluster::WriteInfo() const {
  nlohmann::json info = {{"address", address()}, {"certs", user_certificates().string()}};
  for (const auto* server : {&coordinator_, &data_, &worker_}) {
    info["pids"][(*server)->name()] = (*server)->pid();
    info["metrics"][(*server)->name()] = absl::StrCat(kLoopback, (*server)->ports().metrics_port);
    info["health"][(*server)->name()] = absl::StrCat(kLoopback, (*server)->ports().health_port);
  }
  return WriteFileAtomically(options_.state / "local.json", info.dump(2) + "\n");
}

}  // namespace muster
