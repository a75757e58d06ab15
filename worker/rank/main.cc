// muster-rank: one training process of an attempt. Started by an agent, which reads its messages from descriptor 3.
#include <ATen/Parallel.h>
#include <google/protobuf/text_format.h>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "common/clock.h"
#include "common/exit_code.h"
#include "common/files.h"
#include "common/flags/parse_flags.h"
#include "common/log.h"
#include "common/process/leave.h"
#include "common/rpc/grpc_setup.h"
#include "muster/rank/v1/rank.pb.h"
#include "worker/rank/link/agent_pipe.h"
#include "worker/rank/link/rank_run.h"
#include "worker/rank/model/block_allocator.h"

namespace {

constexpr int kAgentDescriptor = 3;

std::atomic<muster::StopRequest> stop_requested = muster::StopRequest::kNone;
static_assert(std::atomic<muster::StopRequest>::is_always_lock_free, "set in a signal handler");

int ExitCodeOf(muster::internal::v1::ExitCause cause) {
  if (cause == muster::internal::v1::EXIT_CAUSE_SUCCESS) return muster::kExitSucceeded;
  return cause == muster::internal::v1::EXIT_CAUSE_STOPPED ? muster::kExitCancelled : muster::kExitJobFailed;
}

}  // namespace

int main(int argc, char** argv) {
  std::string file;
  CLI::App app("One training process of an attempt; started by muster-worker.", "muster-rank");
  app.add_option("--config", file, "RankConfig as protobuf text")->required();
  if (const std::optional<int> code = muster::ParseFlags(app, argc, argv)) return *code;
  const auto text = muster::ReadFile(file);
  muster::rank::v1::RankConfig config;
  if (!text.ok() || !google::protobuf::TextFormat::ParseFromString(*text, &config)) {
    std::fprintf(stderr, "muster-rank: %s: %s\n", file.c_str(),
                 text.ok() ? "is not a RankConfig in text format" : std::string(text.status().message()).c_str());
    return muster::kExitUsage;
  }
  // A rank never outlives its agent. The kernel signals the agent's death; if it died before this call, the pipe below is
  // closed.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGTERM, [](int) { stop_requested = muster::StopRequest::kNow; });
  std::signal(SIGUSR1, [](int) {
    auto none = muster::StopRequest::kNone;  // an earlier request to stop without a checkpoint stays in effect
    stop_requested.compare_exchange_strong(none, muster::StopRequest::kSave);
  });
  std::signal(SIGINT, SIG_IGN);  // Ctrl-C in a terminal is for the agent, which stops its ranks
  muster::UseBlockAllocator();
  // MKL rounds the same way in every run, whatever the alignment; must come before its first use. AUTO: the fastest code for
  // this kind of processor, so another kind may round differently.
  setenv("MKL_CBWR", "AUTO,STRICT", /*overwrite=*/0);
  if (const char* audit = std::getenv("MUSTER_AUDIT_DIR"); audit != nullptr) config.set_audit(audit);
  if (config.threads() > 0) at::set_num_threads(static_cast<int>(config.threads()));
  muster::InitLog("muster-rank", "info", muster::LogFormatFrom(config.log_format()));
  muster::SetUpGrpc();
  muster::SetLogFields({.job = config.job_id(), .attempt = config.attempt(), .rank = config.rank()});

  muster::AgentPipe agent(kAgentDescriptor);
  std::thread([&agent] {
    agent.WaitUntilClosed();
    spdlog::error("the agent is gone: this rank ends");
    muster::Leave(muster::kExitJobFailed);
  }).detach();

  muster::rank::v1::RankMessage last;
  *last.mutable_result() = muster::RunRank(config, agent, muster::RealClock(), stop_requested);
  if (last.result().cause() != muster::internal::v1::EXIT_CAUSE_SUCCESS) spdlog::error("{}", last.result().message());
  agent.Send(last).IgnoreError();
  muster::Leave(ExitCodeOf(last.result().cause()));
}
