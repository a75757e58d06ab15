#include "client/local/local_command.h"

#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "client/local/local_cluster.h"
#include "client/local/readiness.h"
#include "client/remembered.h"
#include "common/exit_code.h"
#include "common/status.h"

namespace muster {
namespace {

struct LocalFlags {
  std::optional<uint32_t> slots;
  std::filesystem::path state;
  std::optional<int> port;
  std::vector<std::string> command;
};

absl::StatusOr<std::filesystem::path> StateFolder(const LocalFlags& flags) {
  if (!flags.state.empty()) return std::filesystem::absolute(flags.state);
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0') return absl::InvalidArgumentError("HOME is not set: name a folder with --state");
  return std::filesystem::path(home) / ".local/share/muster/local";
}

absl::StatusOr<int> RunLocal(const LocalFlags& flags) {
  LocalCluster::Options options;
  ASSIGN_OR_RETURN(options.state, StateFolder(flags));
  options.bin_folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  options.slots = flags.slots;
  options.port = flags.port;
  const SecurityOptions security = {.certificates = options.state / "certs" / "user"};
  options.serves = [security](const std::string& address) { return Serves(address, security); };
  options.has_worker = [security](const std::string& address) { return HasReadyWorker(address, security); };
  const std::filesystem::path state = options.state;

  signal(SIGPIPE, SIG_IGN);
  ASSIGN_OR_RETURN(const std::unique_ptr<LocalCluster> cluster, LocalCluster::Create(std::move(options), RealClock()));
  RememberedCluster remembered;  // written when the cluster is ready, unless a command is run, which gets its own environment
  const absl::Cleanup stop = [&] {
    Forget(remembered, ConfigFolder());
    cluster->Stop();
  };
  RETURN_IF_ERROR(cluster->Start());
  if (flags.command.empty()) {
    remembered = {cluster->address(), cluster->user_certificates(), cluster->user_token(), state};
    const absl::Status status = Remember(remembered, ConfigFolder());
    const std::string note = status.ok() ? absl::StrCat("Other terminals find it: ", RememberedFile(ConfigFolder()).string(), ".")
                                         : absl::StrCat("Other terminals do not find it (", status.message(), ").");
    std::printf("The cluster is ready at %s. Its state is in %s. %s\n"
                "Where another cluster is configured:\n\n"
                "  export MUSTER_ADDRESS=%s\n  export MUSTER_CERTS=%s\n\n"
                "Tokens for programs and other users: muster tokens issue --file %s\nCtrl-C stops the cluster.\n",
                cluster->address().c_str(), state.c_str(), note.c_str(), cluster->address().c_str(),
                cluster->user_certificates().c_str(), cluster->tokens().c_str());
    std::fflush(stdout);
  }
  return cluster->Run(flags.command);
}

}  // namespace

void AddLocalCommand(CLI::App& app, std::function<absl::StatusOr<int>()>& action) {
  auto flags = std::make_shared<LocalFlags>();
  CLI::App* local = app.add_subcommand("local", "Run a cluster on this machine, until Ctrl-C or until a command ends");
  local->add_option("--slots", flags->slots, "Ranks that may run at once (default: one per GPU; without GPUs 1)")
      ->type_name("N")
      ->check(CLI::Range(1u, 1024u));
  local->add_option("--state", flags->state, "Folder for the cluster's state (~/.local/share/muster/local)")->type_name("DIR");
  local->add_option("--port", flags->port, "The coordinator's port; 0: a free one (default: 7070, or a free one if that is taken)")->type_name("P")->check(CLI::Range(0, 65535));
  local->add_option("command", flags->command, "After --: a command to run with MUSTER_ADDRESS and MUSTER_CERTS set")
      ->type_name("COMMAND");
  local->callback([&action, flags] { action = [flags] { return RunLocal(*flags); }; });
}

}  // namespace muster
